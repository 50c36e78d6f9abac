"""Plots of losses, critic outputs and tables, written to files without a display or global state."""

import textwrap
import warnings

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

from tfgen.errors import UserError
from tfgen.files import written_aside
from tfgen.pictures.images import INK, known_ending, printable

TRAIN, VALIDATION = "#1f77b4", "#d95f02"
# Matplotlib's, which takes about a third of the time of a figure.
LAYOUT = "constrained"


def curves(path, history):
    """Plots training curves: one panel per quantity with its training and validation values.

    Args:
        path: file name; its suffix chooses the format.
        history: {name: one value per epoch}; "val_x" shares the panel of "x". "x_1" ... "x_n", n >= 2, share one panel, a
            line each: their validation values, or the training values if they have no others. Lengths may differ.
            Non-finite values leave a gap, bridged by a dotted line.

    Raises:
        UserError: for an empty history or values that are not numbers.
    """
    try:
        history = {name: np.asarray(values, float).reshape(-1) for name, values in history.items()}
    except (TypeError, ValueError) as error:
        raise UserError(f"curves expects {{name: one number per epoch}}, received other values ({error})") from None
    history = {name: np.where(np.isfinite(values), values, np.nan) for name, values in history.items()}
    epochs = max((len(values) for values in history.values()), default=0)
    if not epochs:
        raise UserError("curves expects a history of at least one epoch, received none; train first")
    shown = panels_of(history)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(max(4.0 * columns, 4.8), 2.7 * rows + 0.5)
    lines = {}
    for index, (name, keys) in enumerate(shown.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        drawn = {}
        for label, key, colour in keys:
            values = history.get(key, np.empty(0))
            x, finite = np.arange(1, len(values) + 1), np.isfinite(values)
            if finite.any():
                axes.plot(x[finite], values[finite], color=colour, linewidth=1.2, linestyle=":")
                drawn[label], = axes.plot(x, values, color=colour, linewidth=1.6, marker="o", markersize=3.5,
                                          markevery=_marked(values))
        if keys[0][0] != "train":
            magnitudes(axes)
            axes.legend(drawn.values(), drawn.keys(), fontsize=7, ncols=-(-len(drawn) // 8), loc="center left",
                        bbox_to_anchor=(1.0, 0.5), frameon=False)
        else:
            lines |= drawn
        if not drawn:
            axes.text(0.5, 0.5, "no finite values", transform=axes.transAxes, ha="center", va="center", color=INK)
            axes.set_yticks([])
        axes.set_title(textwrap.fill(printable(name), 36), fontsize=11, color=INK, parse_math=False)
        axes.set_xlim(*((0.5, 1.5) if epochs == 1 else (max(0.5, 1 - 0.03 * epochs), epochs * 1.03)))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch", fontsize=9)
        axes.tick_params(labelsize=9)
        axes.grid(color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    if lines:
        figure.legend(lines.values(), lines.keys(), loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    write_figure(path, figure)


def panels_of(history):
    """{title: [(label, key of `history`, colour)]} of the panels of `curves`, in the order of the history's keys."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    families = {}
    for name in names:
        stem, _, number = name.rpartition("_")
        if stem and number.isdecimal():
            families.setdefault(stem, []).append(name)
    families = {stem: found for stem, found in families.items()
                if len(found) > 1 and found == [f"{stem}_{number}" for number in range(1, len(found) + 1)]}
    shown = {}
    for name in names:
        family = families.get(name.rpartition("_")[0])
        if family is None:
            shown[name] = [("train", name, TRAIN), ("validation", f"val_{name}", VALIDATION)]
        elif name == family[0]:
            prefix = "val_" if f"val_{name}" in history else ""
            title = f"{name} to {family[-1]}, {'validation' if prefix else 'train'}"
            colours = colormaps["viridis"](np.linspace(0.0, 0.9, len(family)))
            shown[title] = [(each.rpartition("_")[2], prefix + each, colour)
                            for each, colour in zip(family, colours, strict=True)]
    return shown


def critic(path, real, fake, equilibrium=None, title="the critic's readings"):
    """Plots the critic's mean output on real and generated images per epoch, centred on the equilibrium value.

    Args:
        path: file name; its suffix chooses the format.
        real, fake: mean output on real and on generated images, (epochs,) each.
        equilibrium: drawn as a dashed line; None if the objective has none.
        title: title above the plot.

    Raises:
        UserError: without epochs.
    """
    if not len(real):
        raise UserError("critic expects readings of at least one epoch, received none; train first")
    figure = new_figure(7.2, 3.6)
    axes = figure.add_subplot()
    for values, name, colour in ((real, "real, D(x)", TRAIN), (fake, "made, D(G(z))", VALIDATION)):
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.6, marker="o", markersize=3.5,
                  markevery=_marked(values), label=name)
    if equilibrium is not None:
        axes.axhline(equilibrium, color=INK, linestyle="--", linewidth=1.2,
                     label=f"equilibrium {equilibrium:g}: cannot tell")
        low, high = axes.get_ylim()
        reach = 1.1 * max(high - equilibrium, equilibrium - low)
        axes.set_ylim(*((-0.03, 1.03) if equilibrium == 0.5 and reach < 0.6 else (equilibrium - reach, equilibrium + reach)))
    axes.set_title(textwrap.fill(printable(title), 70), fontsize=12, color=INK, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", fontsize=10)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    write_figure(path, figure)


def table(path, rows, columns, values, title=""):
    """Draws numbers as a coloured table, such as one row per method and one column per class.

    Args:
        path: file name; its suffix chooses the format.
        rows, columns: names of the rows and columns.
        values: (rows, columns); colours span their range, NaN stays white.
        title: title above the table.

    Raises:
        UserError: for values of another shape.
    """
    values = np.asarray(values, float)
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise UserError(f"table expects values ({len(rows)}, {len(columns)}), one per row and column, "
                        f"received {values.shape}")
    figure = new_figure(2.2 + 0.75 * len(columns), 1.6 + 0.34 * len(rows))
    axes = figure.add_subplot()
    low, high = np.nanmin(values), np.nanmax(values)
    axes.imshow(values, cmap="Blues", vmin=low, vmax=high + 0.6 * (high - low), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(column, row, f"{value:.1f}", ha="center", va="center_baseline", color=INK, fontsize=9)
    names = [textwrap.fill(printable(name), 11, break_on_hyphens=False) for name in columns]
    axes.set_xticks(range(len(columns)), names, fontsize=9)
    axes.set_yticks(range(len(rows)), map(printable, rows), fontsize=9)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    axes.set_title(printable(title), fontsize=11, color=INK, parse_math=False)
    write_figure(path, figure)


def magnitudes(axes):
    """Makes the y axis fit for values of several magnitudes with 0 among them: linear up to 1, then logarithmic."""
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=1.0, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")


def _marked(values):
    """Indices that get a marker: every point of a short curve; in a long one only isolated points between NaNs."""
    finite = np.pad(np.isfinite(values), 1)
    lonely = finite[1:-1] & ~finite[:-2] & ~finite[2:]
    return np.flatnonzero(lonely | (len(values) <= 30)).tolist()


def new_figure(width, height):
    """A white figure of width x height inches at 110 dots per inch, independent of the user's matplotlib settings."""
    figure = Figure(figsize=(width, height), dpi=110, layout=LAYOUT, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write_figure(path, figure):
    known_ending(path, {f".{ending}" for ending in figure.canvas.get_supported_filetypes()})
    with written_aside(path) as aside, warnings.catch_warnings():
        # Characters missing in the font are drawn as boxes, without a warning.
        warnings.filterwarnings("ignore", r"Glyph \d+|Matplotlib currently does not support", UserWarning)
        if aside.suffix.lower() == ".png":
            # To the pixel what `savefig` writes, which first draws once without writing.
            figure.canvas.print_png(aside)
        else:
            figure.savefig(aside, dpi=figure.dpi)

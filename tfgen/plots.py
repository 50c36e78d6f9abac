"""Plots of losses, critic outputs, codes, points and tables, written to files without a display or global state."""

import textwrap
import warnings

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from tfgen.errors import UserError
from tfgen.files import written_aside
from tfgen.pictures import INK, known_ending, printable

TRAIN, VALIDATION = "#1f77b4", "#d95f02"


def curves(path, history):
    """Plots training curves: one panel per quantity with its training and validation values.

    Args:
        path: file name; its suffix chooses the format.
        history: {name: one value per epoch}; "val_x" shares the panel of "x". Lengths may differ. Non-finite values
            leave a gap, bridged by a dotted line.

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
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = _figure(max(4.0 * columns, 4.8), 2.7 * rows + 0.5)
    lines = {}
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        drawn = False
        for label, key, colour in (("train", name, TRAIN), ("validation", f"val_{name}", VALIDATION)):
            values = history.get(key, np.empty(0))
            x, finite = np.arange(1, len(values) + 1), np.isfinite(values)
            if finite.any():
                axes.plot(x[finite], values[finite], color=colour, linewidth=1.2, linestyle=":")
                lines[label], = axes.plot(x, values, color=colour, linewidth=1.6, marker="o", markersize=3.5,
                                          markevery=_marked(values))
                drawn = True
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
    _write_figure(path, figure)


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
    figure = _figure(7.2, 3.6)
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
    _write_figure(path, figure)


def scatter(path, points, labels=None, class_names=(), title="", circle=False, axis_names=("z1", "z2")):
    """Scatter plot of 2-D codes, coloured by class, with equal scales on both axes.

    Args:
        path: file name; its suffix chooses the format.
        points: (N, 2); non-finite rows are omitted.
        labels: (N,) classes; None draws all points in one colour. Up to 40 classes have a legend, more a colour bar.
        class_names: names of the classes 0, 1, …; a class without a name is shown by its label.
        title: title above the plot.
        circle: draw the 1, 2 and 3 sigma circles of a standard Gaussian.
        axis_names: names of the two axes.

    Raises:
        UserError: for another shape of points, labels of another length, or no finite point.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"scatter expects points (N, 2), received shape {points.shape}; project wider codes first")
    if labels is not None and np.shape(labels) != (len(points),):
        raise UserError(f"scatter expects one label for each of {len(points)} points, received shape {np.shape(labels)}")
    finite = np.isfinite(points).all(1)
    if not finite.any():
        raise UserError("scatter expects at least one finite point, received none; did training diverge?")
    # A fixed shuffle, so that no class covers another completely.
    order = np.random.default_rng(0).permutation(np.flatnonzero(finite))
    points = points[order]
    style = {"s": float(np.clip(40000 / len(points), 6, 30)), "linewidths": 0, "zorder": 2,
             "alpha": float(np.clip(1500 / len(points), 0.55, 0.9))}
    if labels is None:
        figure = _figure(7.2, 5.6)
        axes = figure.add_subplot()
        axes.scatter(*points.T, color=TRAIN, **style)
    else:
        classes, index = np.unique(np.asarray(labels)[order], return_inverse=True)
        colours = _class_colours(classes)
        names = [_class_name(value, class_names) for value in classes]
        columns = -(-len(classes) // 20) if len(classes) <= 40 else 1
        # Room for the legend: the plot keeps its size.
        figure = _figure(6.2 + columns * (0.35 + 0.085 * max(map(len, names))), 5.6)
        axes = figure.add_subplot()
        axes.scatter(*points.T, c=colours[index], **style)
        if len(classes) <= 40:
            handles = [Line2D([], [], linestyle="", marker="o", markersize=7, color=colour) for colour in colours]
            figure.legend(handles, names, loc="outside right upper", ncols=columns, frameon=False,
                          fontsize=10, handletextpad=0.2)
        else:
            artist = matplotlib.cm.ScalarMappable(
                matplotlib.colors.Normalize(0, len(classes) - 1), matplotlib.colormaps["turbo"])
            bar = figure.colorbar(artist, ax=axes, label="class")
            ticks = np.unique(np.linspace(0, len(classes) - 1, 9).astype(int))
            bar.set_ticks(ticks, labels=[names[tick] for tick in ticks])
    if circle:
        for sigma in (1, 2, 3):
            axes.add_patch(Circle((0, 0), sigma, fill=False, linestyle="--", linewidth=1.2, color="0.25", zorder=3))
            axes.annotate(f"{sigma}σ", (0, sigma), fontsize=9, color=INK, ha="center", va="center", zorder=4,
                          bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85})
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.05)
    axes.set_title(textwrap.fill(printable(title), 60), fontsize=12, color=INK, parse_math=False)
    axes.set_xlabel(axis_names[0], fontsize=10)
    axes.set_ylabel(axis_names[1], fontsize=10)
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    _write_figure(path, figure)


def planes(path, rows, truth, title=""):
    """Draws a grid of panels with generated 2-D points over real ones, all on the same scale.

    Args:
        path: file name; its suffix chooses the format.
        rows: {row label: [(panel title, generated points (N, 2)), …]}, the same number of panels in every row.
        truth: real points (M, 2), drawn in every panel; axes reach 1.5 times their largest coordinate.
        title: title above the plot.
    """
    columns = max(map(len, rows.values()))
    figure = _figure(max(5.0, 2.5 * columns + 0.4), 2.95 * len(rows) + 0.8)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    reach = 1.5 * np.abs(truth).max()
    for line, (label, panels) in zip(axes, rows.items()):
        line[0].set_ylabel(label, fontsize=12)
        for panel, (name, made) in zip(line, panels):
            panel.scatter(*np.asarray(truth).T, s=9, color="0.72", linewidths=0)
            panel.scatter(*np.asarray(made).T, s=2.5, color=VALIDATION, linewidths=0, alpha=0.7)
            panel.set_title(name, fontsize=9.5, color=INK)
            panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    dots = [Line2D([], [], linestyle="", marker="o", markersize=7, color=colour) for colour in ("0.72", VALIDATION)]
    figure.suptitle(title, fontsize=13, color=INK)
    figure.legend(dots, ["real points", "made points"], loc="outside lower center", ncols=2, frameon=False, fontsize=11)
    _write_figure(path, figure)


def paths(path, ways, title="", reach=None):
    """Draws 2-D trajectories that should converge to (0, 0), one per panel, on one scale, from light to dark.

    Args:
        path: file name; its suffix chooses the format.
        ways: {panel title: positions (N, 2)}.
        title: title above the plot.
        reach: both axes span [-reach, reach]; None shows all trajectories completely.
    """
    figure = _figure(2.6 * len(ways) + 0.4, 3.7)
    reach = reach or 1.1 * max(np.abs(way).max() for way in ways.values())
    for index, (name, way) in enumerate(ways.items()):
        axes, way = figure.add_subplot(1, len(ways), index + 1), np.asarray(way)
        axes.plot(*way.T, color="0.8", linewidth=1.0, zorder=1)
        axes.scatter(*way.T, c=np.arange(len(way)), cmap="viridis_r", s=9, linewidths=0, zorder=2)
        start, = axes.plot(*way[0], "o", color=TRAIN, markersize=7)
        end, = axes.plot(*way[-1], "s", color=VALIDATION, markersize=7)
        goal, = axes.plot(0.0, 0.0, "k+", markersize=11, markeredgewidth=2)
        axes.set_title(name, fontsize=11, color=INK)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_xlabel("x", fontsize=10)
        axes.set_ylabel("y" if index == 0 else "", fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.suptitle(title, fontsize=13, color=INK)
    figure.legend([start, end, goal], ["start", "end", "equilibrium"], loc="outside lower center", ncols=3, frameon=False,
                  fontsize=11)
    _write_figure(path, figure)


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
    figure = _figure(2.2 + 0.75 * len(columns), 1.6 + 0.34 * len(rows))
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
    _write_figure(path, figure)


def _marked(values):
    """Indices that get a marker: every point of a short curve; in a long one only isolated points between NaNs."""
    finite = np.pad(np.isfinite(values), 1)
    lonely = finite[1:-1] & ~finite[:-2] & ~finite[2:]
    return np.flatnonzero(lonely | (len(values) <= 30)).tolist()


def _class_colours(classes):
    """One colour per class, (K, 4); small integer labels keep their colour whichever other classes are present."""
    whole = np.issubdtype(classes.dtype, np.integer) and classes.min() >= 0 and classes.max() < 20
    rank = classes if whole else np.arange(len(classes))
    if rank.max() < 10:
        return matplotlib.colormaps["tab10"](rank)
    return matplotlib.colormaps["tab20"](rank) if rank.max() < 20 else (
        matplotlib.colormaps["turbo"](rank / max(1, rank.max())))


def _class_name(value, class_names):
    whole = np.issubdtype(np.asarray(value).dtype, np.integer)
    name = printable(class_names[value] if whole and 0 <= value < len(class_names) else value)
    # Escaped, as matplotlib's legend would render "$…$" as a formula.
    name = name.replace("$", r"\$")
    return name if len(name) <= 24 else name[:23] + "…"


def _figure(width, height):
    """A white figure of width x height inches at 110 dots per inch, independent of the user's matplotlib settings."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _write_figure(path, figure):
    known_ending(path, {f".{ending}" for ending in figure.canvas.get_supported_filetypes()})
    with written_aside(path) as aside, warnings.catch_warnings():
        # Characters missing in the font are drawn as boxes, without a warning.
        warnings.filterwarnings("ignore", r"Glyph \d+|Matplotlib currently does not support", UserWarning)
        figure.savefig(aside, dpi=figure.dpi)

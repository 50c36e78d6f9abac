"""Scatter plots: codes and points in the plane."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from tfgen.errors import UserError
from tfgen.pictures.images import INK, printable
from tfgen.pictures.plots import TRAIN, VALIDATION, new_figure, write_figure


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
        figure = new_figure(7.2, 5.6)
        axes = figure.add_subplot()
        axes.scatter(*points.T, color=TRAIN, **style)
    else:
        classes, index = np.unique(np.asarray(labels)[order], return_inverse=True)
        colours = _class_colours(classes)
        names = [_class_name(value, class_names) for value in classes]
        columns = -(-len(classes) // 20) if len(classes) <= 40 else 1
        # Room for the legend: the plot keeps its size.
        figure = new_figure(6.2 + columns * (0.35 + 0.085 * max(map(len, names))), 5.6)
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
    write_figure(path, figure)


def labelled(axes, points, labels=None, class_names=()):
    """Draws points (N, 2) into axes without a legend: a colour per class, and its name at the median of its points."""
    order = np.random.default_rng(0).permutation(len(points))
    if labels is None:
        axes.scatter(*points[order].T, s=14, linewidths=0, color=TRAIN, alpha=0.8)
        return
    classes, index = np.unique(np.asarray(labels), return_inverse=True)
    axes.scatter(*points[order].T, s=14, linewidths=0, c=_class_colours(classes)[index[order]], alpha=0.8)
    for place, value in enumerate(classes):
        axes.text(*np.median(points[index == place], axis=0), _class_name(value, class_names), fontsize=11, color=INK,
                  ha="center", va="center", zorder=3,
                  bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8})


def planes(path, rows, truth, title=""):
    """Draws a grid of panels with generated 2-D points over real ones, all on the same scale.

    Args:
        path: file name; its suffix chooses the format.
        rows: {row label: [(panel title, generated points (N, 2)), …]}, the same number of panels in every row.
        truth: real points (M, 2), drawn in every panel; axes reach 1.5 times their largest coordinate.
        title: title above the plot.
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(max(5.0, 2.5 * columns + 0.4), 2.95 * len(rows) + 0.8)
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
    write_figure(path, figure)


def paths(path, ways, title="", reach=None):
    """Draws 2-D trajectories that should converge to (0, 0), one per panel, on one scale, from light to dark.

    Args:
        path: file name; its suffix chooses the format.
        ways: {panel title: positions (N, 2)}.
        title: title above the plot.
        reach: both axes span [-reach, reach]; None shows all trajectories completely.
    """
    figure = new_figure(2.6 * len(ways) + 0.4, 3.7)
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
    write_figure(path, figure)


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

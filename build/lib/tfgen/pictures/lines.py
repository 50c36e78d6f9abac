"""Vectors and windows of a series as lines: one panel per row of data and channel."""

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from tfgen.errors import UserError
from tfgen.pictures.plots import new_figure, write_figure

COLOURS = ("0.25", "#d95f02", "#1f77b4", "#2ca02c")
ROWS, CHANNELS = 6, 4  # panels at most


def save_lines(path, rows, scaling=None, count=ROWS, names=()):
    """Draws rows of several arrays over each other.

    Vectors (N, D) are drawn as their values in order, windows (N, times, channels) as a line per channel over time.

    Args:
        path: file name; its suffix chooses the format.
        rows: {label: float array}, all of one shape but for N, of which the smallest counts.
        scaling: (location, scale) by which vectors are standardised, so that one axis suits all of their values; windows
            keep their units. None: neither.
        count: largest number of rows drawn.
        names: one per row, beside its first panel, or empty.

    Raises:
        UserError: for arrays of another rank or of several shapes.
    """
    arrays = {label: np.asarray(values, float) for label, values in rows.items()}
    shapes = {values.shape[1:] for values in arrays.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) not in (1, 2):
        raise UserError(f"save_lines expects vectors (N, D) or windows (N, times, channels) of one shape, received "
                        f"{[values.shape for values in arrays.values()]}")
    vectors, channels = len(shape) == 1, 1 if len(shape) == 1 else min(shape[1], CHANNELS)
    if vectors and scaling is not None:
        arrays = {label: (values - np.asarray(scaling[0])) / np.asarray(scaling[1]) for label, values in arrays.items()}
    drawn = min(count, *(len(values) for values in arrays.values()))
    columns = 2 if channels == 1 and drawn > 1 else channels
    figure = new_figure(4.2 * columns, 1.5 * math.ceil(drawn * channels / columns) + 0.6)
    panels = figure.subplots(math.ceil(drawn * channels / columns), columns, squeeze=False, sharex=True,
                             sharey="col" if channels > 1 else True).ravel()
    for index, axes in enumerate(panels):
        row, channel = divmod(index, channels)
        axes.set_visible(row < drawn)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.tick_params(labelsize=8)
        for (label, values), colour in zip(arrays.items(), COLOURS) if row < drawn else ():
            line = values[row] if vectors else values[row, :, channel]
            axes.plot(line, color=colour, linewidth=1.2, marker="o" if vectors else None, markersize=2.5, label=label)
        if channel == 0 and row < len(names):
            axes.set_ylabel(names[row], fontsize=9)
        if channels > 1 and row == 0:
            axes.set_title(f"channel {channel}", fontsize=9)
    for axes in panels[-columns:]:
        axes.set_xlabel("value of the vector" if vectors else "time", fontsize=9)
    if vectors:
        figure.supylabel("standard deviations" if scaling is not None else "value", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    write_figure(path, figure)

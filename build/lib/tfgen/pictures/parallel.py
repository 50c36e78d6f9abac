"""Parallel coordinates: one line per trial of a search, through its value on the axis of each hyperparameter."""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from tfgen.errors import require
from tfgen.pictures.images import INK, printable
from tfgen.pictures.plots import new_figure, write_figure


def parallel(path, columns, scores, name, higher=True, logarithmic=()):
    """Draws parallel coordinates, the last axis that of the objective, by which lines are coloured; the best one is thick.

    Args:
        path: file name; its suffix chooses the format.
        columns: {hyperparameter: one value per trial}; numbers, or other values, which get a place each. None: the trial
            has no such hyperparameter, and its line passes the axis by.
        scores: finite numbers, one per trial, >= 1.
        name: of the objective.
        higher: whether higher scores are better.
        logarithmic: names of the hyperparameters whose axis is logarithmic; their values are > 0.

    Raises:
        UserError: for values of other lengths, or none.
    """
    require(len(scores) and all(len(values) == len(scores) for values in columns.values()),
            f"parallel expects one value per trial of each hyperparameter, received {len(scores)} scores and "
            f"{', '.join(f'{key}: {len(values)}' for key, values in columns.items()) or 'no hyperparameters'}")
    axes_of = {key: scaled(values, key in logarithmic) for key, values in columns.items()} | {name: scaled(scores)}
    places = np.array([place for place, _ in axes_of.values()])  # (axes, trials)
    figure = new_figure(max(5.0, 1.7 * len(axes_of) + 1.5), 4.2)
    axes = figure.add_subplot()
    norm, map_ = Normalize(min(scores), max(scores)), colormaps["viridis" if higher else "viridis_r"]
    # The best comes last, over the others.
    order = sorted(range(len(scores)), key=lambda trial: scores[trial] if higher else -scores[trial])
    for trial in order:
        known = np.isfinite(places[:, trial])
        best = trial == order[-1]
        axes.plot(np.flatnonzero(known), places[known, trial], color=map_(norm(scores[trial])),
                  linewidth=3.0 if best else 1.3, alpha=1.0 if best else 0.75, marker="o", markersize=3.5)
    for index, (_, ticks) in enumerate(axes_of.values()):
        axes.axvline(index, color="0.6", linewidth=0.8, zorder=0)
        for place, label in ticks:
            axes.text(index - 0.04, place, label, ha="right", va="center", fontsize=8, color=INK, parse_math=False)
    axes.set_xticks(range(len(axes_of)), [printable(key).replace("_", "_\u200b") for key in axes_of], fontsize=9)
    axes.set_yticks([])
    axes.set(xlim=(-0.6, len(axes_of) - 0.8), ylim=(-0.05, 1.05))
    axes.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(norm, map_), ax=axes, label=printable(name), pad=0.02)
    write_figure(path, figure)


def scaled(values, logarithmic=False):
    """(places in [0, 1], NaN where there is no value; [(place, label)] of an axis)."""
    known = [value for value in values if value is not None]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        names = sorted({str(value) for value in known})
        place = {one: (index + 0.5) / len(names) for index, one in enumerate(names)}
        return [math.nan if value is None else place[str(value)] for value in values], [(place[one], one) for one in names]
    scale, back = (math.log, math.exp) if logarithmic else (float, float)
    low, high = (scale(function(known)) for function in (min, max))
    places = [math.nan if value is None else (scale(value) - low) / (high - low) if high > low else 0.5 for value in values]
    ends = [0.0, 0.5, 1.0] if high > low else [0.5]
    return places, [(end, f"{back(low + end * (high - low)):.3g}") for end in ends]

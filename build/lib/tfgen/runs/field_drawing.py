"""Pictures of fields during training: the signal and the field on its grid, held-out views and their renderings."""

import numpy as np

from tfgen import coordinates, pictures
from tfgen.pictures import plots
from tfgen.runs.drawing import Drawings

# Held-out views that are rendered.
VIEWS = 3


class FieldPictures(Drawings):
    """Draws `signals/epoch-*.png` of a field of a signal, `views/epoch-*.png` of a field of a scene.

    Args:
        folder: the run folder.
        dataset: a `tfgen.data.Signal` or `tfgen.data.PosedImages`.
        every: number of epochs between pictures.
        live: as for `Drawings`.
    """

    def __init__(self, folder, dataset, every=1, live=None):
        super().__init__(folder, every, live)
        self.dataset = dataset

    def drawings(self):
        return ("render", "views", self.views), *[("decode", "signals", self.signals)] * (
            self.dataset.spec.view == "signal")

    def signals(self, path):
        *sides, channels = self.dataset.spec.image_shape
        made = self.live("decode", coordinates.grid(sides).numpy()[None])[0].reshape(*sides, channels)
        draw_signal(path, {"signal": self.dataset.values, "field": made})

    def views(self, path):
        poses, images = self.dataset.poses["validation"][:VIEWS], self.dataset.views["validation"][:VIEWS]
        pictures.save_rows(path, {"view": images, "rendering": self.live("render", poses, batch_size=1)})


def draw_signal(path, signals):
    """Draws signals of one shape: images in a row, sound as curves, of more axes the middle slice.

    Args:
        path: file name; its suffix chooses the format.
        signals: {label: array (*grid, C)}.
    """
    while next(iter(signals.values())).ndim > 3:
        signals = {label: values[len(values) // 2] for label, values in signals.items()}
    if next(iter(signals.values())).ndim == 3:
        return pictures.save_rows(path, {label: values[None] for label, values in signals.items()})
    figure = plots.new_figure(8.0, 1.7 * len(signals) + 0.5)
    for axes, (label, values) in zip(figure.subplots(len(signals), sharex=True, sharey=True), signals.items()):
        axes.plot(np.linspace(-1.0, 1.0, len(values)), values, linewidth=0.6)
        axes.set_title(label, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("time, of the whole signal's from -1 to 1", fontsize=9)
    plots.write_figure(path, figure)

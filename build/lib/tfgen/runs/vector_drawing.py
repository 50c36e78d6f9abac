"""Pictures of models of vectors and windows during training: reconstructions and samples as lines."""

import numpy as np

from tfgen.pictures.lines import save_lines
from tfgen.runs.drawing import Drawings


class VectorPictures(Drawings):
    """Draws `reconstructions/epoch-*.png` (row and reconstruction) and `samples/epoch-*.png` (sample beside a held-out row).

    Args:
        folder: the run folder.
        rows: float32 (N, D) or (N, times, channels), of the validation split.
        labels: int (N,) or None; used by conditional models.
        scaling: (location, scale) of the data.
        every, live: as for `Drawings`.
    """

    def __init__(self, folder, rows, labels=None, scaling=None, every=1, live=None):
        super().__init__(folder, every, live)
        self.rows = rows
        self.labels = labels
        self.scaling = scaling

    def drawings(self):
        return ("reconstruct", "reconstructions", self.reconstructions), ("sample", "samples", self.samples)

    def options(self, verb):
        return {"label": self.labels} if "label" in self.live.options[verb] and self.labels is not None else {}

    def reconstructions(self, path):
        made = self.live("reconstruct", self.rows, **self.options("reconstruct"))
        save_lines(path, {"row": self.rows, "reconstruction": made}, self.scaling)

    def samples(self, path):
        made = self.live("sample", np.arange(len(self.rows)), **self.options("sample"))
        save_lines(path, {"held-out row": self.rows, "sample": made}, self.scaling)

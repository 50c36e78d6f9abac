"""Detection in images that are larger than a detector's own, by overlapping tiles."""

import numpy as np

from tfgen.errors import UserError
from tfgen.verbs.table import VERBS

MAPS = VERBS["anomaly_map"].output.name


class Tiled:
    """`score` and `anomaly_map` of images of any size, at their own resolution, by tiles of a detector's size.

    Tiles are evenly spaced, the outermost flush with the image. A map is the mean of the tiles' maps, weighted by a pyramid
    that falls towards the borders of a tile. A score is the highest of the tiles' scores. So a threshold of the detector's
    own images holds per tile: an image of many tiles exceeds it more often. Images smaller than a tile are padded by their
    border pixels.

    It takes the place of `live` in `tfgen.detection.report.write`.

    Args:
        live: `verbs.live.Live` or `serving.saved_model.Served`, with `score`.
        overlap: least share of a tile's side that its neighbour covers, in [0, 1).

    Attributes:
        image_shape: (None, None, C).
        names: those of `score` and `anomaly_map` that `live` has.
        resize: "stretch", the mode in which maps meet images.

    Raises:
        UserError: for another model, or an overlap out of range.
    """

    resize = "stretch"

    def __init__(self, live, overlap=0.5):
        if "score" not in live.names:
            raise UserError(f"tiles expect a model that can score; this one has {', '.join(live.names)}")
        if not 0 <= overlap < 1:
            raise UserError(f"the overlap of tiles expects a share in [0, 1), received {overlap}: give 0.5, say")
        self.live = live
        self.overlap = overlap
        self.names = [name for name in ("score", "anomaly_map") if name in live.names]
        self.image_shape = (None, None, live.image_shape[2])

    def starts(self, length, side):
        """First pixels of tiles of `side` that cover `length` >= side pixels."""
        step = max(1, int(side * (1.0 - self.overlap)))
        return np.linspace(0, length - side, -(-(length - side) // step) + 1).round().astype(int)

    def outputs(self, name, images, batch_size=32):
        """{output: array, one row per image} of a verb.

        Args:
            name: "score" or "anomaly_map".
            images: float32 (N, H, W, C) in [0, 1].
            batch_size: tiles per batch.
        """
        height, width, _ = self.live.image_shape
        shape = images.shape[1:3]
        padding = [(0, max(0, side - length)) for side, length in zip((height, width), shape)]
        images = np.pad(images, ((0, 0), *padding, (0, 0)), "edge")
        columns = self.starts(images.shape[2], width)
        pyramid = np.multiply.outer(*(np.minimum(np.arange(side) + 1, side - np.arange(side)) for side in (height, width)))
        total, weight, found = np.zeros(images.shape[:3], np.float32), np.zeros(images.shape[1:3], np.float32), {}
        for top in self.starts(images.shape[1], height):
            tiles = np.concatenate([images[:, top:top + height, left:left + width] for left in columns])
            made = self.live.outputs(name, tiles, batch_size=batch_size)
            rows = {key: value.reshape(len(columns), len(images), *value.shape[1:]) for key, value in made.items()}
            if name == "anomaly_map":
                for left, maps in zip(columns, rows[MAPS]):
                    total[:, top:top + height, left:left + width] += pyramid * maps
                    weight[top:top + height, left:left + width] += pyramid
            else:
                # Scores, whether they exceed the threshold, and the threshold, which is the same for all tiles.
                best = {key: value.max(0) for key, value in rows.items()}
                found = {key: np.maximum(value, found.get(key, value)) for key, value in best.items()}
        return found or {MAPS: (total / weight)[:, :shape[0], :shape[1]]}

    def __call__(self, name, images, batch_size=32):
        """The main output of `outputs`."""
        return self.outputs(name, images, batch_size)[VERBS[name].output.name]

"""Anomaly detection: what every detector shares, and how a difference of two images becomes a map and a score."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.serialization import serializable


class Detector:
    """Mixes into a model that has `score` its threshold, a weight that is saved and exported with it.

    Attributes:
        threshold: float32 scalar; an image whose score is greater is called anomalous. Infinite until calibrated.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.threshold = self.add_weight((), keras.initializers.Constant(math.inf), trainable=False, name="threshold",
                                         dtype="float32")


class Compared(Detector):
    """Mixes into a model with `reconstruct` the verbs `score` and `anomaly_map`, by an object `difference`.

    `difference` is a `Difference`: `(x, reconstruction) -> maps (B, H, W)`, and `pool(maps) -> scores (B,)`.
    """

    def anomaly_map(self, x):
        return self.difference(ops.convert_to_tensor(x), self.reconstruct(x))

    def score(self, x):
        return self.difference.pool(self.anomaly_map(x))


@serializable
class SquaredError:
    """Map: the squared error, mean over channels; score: its mean over pixels.

    Args:
        blur: standard deviation in pixels of a Gaussian that the map is smoothed with; 0: none.
        peak: whether the score is the map's maximum instead of its mean: for defects that are small in the image.
    """

    def __init__(self, blur=0.0, peak=False):
        self.blur = blur
        self.peak = peak

    def __call__(self, x, reconstruction):
        return blurred(ops.mean(ops.square(x - reconstruction), axis=-1), self.blur)

    def pool(self, maps):
        return (ops.max if self.peak else ops.mean)(maps, axis=(1, 2))


def blurred(maps, sigma):
    """Maps (B, H, W) smoothed by a Gaussian of `sigma` pixels, cut at 3 sigma; weights at the border are normalised."""
    if not sigma:
        return maps
    offsets = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    kernel = np.exp(-0.5 * np.square(offsets / sigma)).astype("float32")

    def smooth(maps):
        for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
            maps = tf.nn.conv2d(maps, kernel.reshape(shape), 1, "SAME")
        return maps

    return (smooth(maps[..., None]) / smooth(tf.ones_like(maps[:1, ..., None])))[..., 0]

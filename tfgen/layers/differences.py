"""Errors of a reconstruction: maps (B, H, W), scores (B,), and their running statistics over normal images.

The map of vectors (B, D) or windows (B, times, channels) has their shape: one error per value.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.layers.gaussians import whitened
from tfgen.serialization import serializable


@serializable
class SquaredError:
    """Map: the squared error, mean over channels; score: its mean over pixels.

    Args:
        blur: standard deviation in pixels of a Gaussian that smooths the map; 0 disables smoothing.
        top: fraction in [0, 1] of the highest pixels, whose mean is the score; 0 uses the maximum. Use a small value when
            defects cover few pixels.
    """

    def __init__(self, blur=0.0, top=1.0):
        self.blur = blur
        self.top = top

    def __call__(self, x, reconstruction):
        return mapped(ops.square(x - reconstruction), self.blur)

    def update(self, x, reconstruction):
        """No-op: the squared error has no statistics."""

    def pool(self, maps):
        return pooled(maps, self.top)


@serializable
class StandardisedError(keras.layers.Layer):
    """Map: the squared error divided by its mean at that value in training, mean over channels; score as `SquaredError`.

    Pixels that are always hard to reconstruct, such as edges, thus do not raise the score. After `calibrate` has rescaled
    it, the map has mean 1 over held-out normal images.

    Args:
        image_shape: (H, W, C), or the shape of a vector or window.
        blur, top: as for `SquaredError`.
        floor: added to the mean squared errors, in squared units of the [0, 1] range or, with a scale, of that.
        scale: of vectors one number per value of the last axis, by which errors are divided; None: they are not.
    """

    def __init__(self, image_shape, blur=0.0, top=1.0, floor=1e-3, scale=None, **kwargs):
        # Errors are small differences of large numbers, whatever the networks compute in.
        super().__init__(**kwargs | {"dtype": "float32"})
        self.image_shape = tuple(image_shape)
        self.blur = blur
        self.top = top
        self.floor = floor
        self.scale = None if scale is None else tuple(scale)
        self.usual = RunningMean(self.image_shape)
        self.built = True

    def call(self, x, reconstruction):
        error = (self.squared(x, reconstruction) + self.floor) / (self.usual.average + self.floor)
        return mapped(error, self.blur)

    def squared(self, x, reconstruction):
        """Squared errors, in units of the scale if there is one."""
        error = ops.cast(x, "float32") - ops.cast(reconstruction, "float32")
        return ops.square(error if self.scale is None else error / ops.convert_to_tensor(self.scale, "float32"))

    def update(self, x, reconstruction):
        self.usual.update(ops.mean(self.squared(x, reconstruction), axis=0))

    def rescale(self, factor):
        """Divides maps by a factor."""
        self.usual.average.assign(factor * (self.usual.average + self.floor) - self.floor)

    pool = SquaredError.pool


class RunningMean(keras.layers.Layer):
    """Running mean over training batches: arithmetic at first, then an exponential moving average (about the last 1/rate
    batches).

    Args:
        shape: shape of one value.
        rate: minimum update rate of the moving average, in (0, 1].
    """

    def __init__(self, shape, rate=0.01, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.rate = rate
        made = {"trainable": False, "dtype": "float32"}
        self.average = self.add_weight(tuple(shape), "zeros", name="average", aggregation="mean", **made)
        self.batches = self.add_weight((), "zeros", name="batches", aggregation="only_first_replica", **made)
        self.built = True

    def update(self, value):
        """Adds a batch's value."""
        self.batches.assign_add(1.0)
        rate = ops.maximum(self.rate, 1.0 / self.batches)
        self.average.assign(self.average + rate * (ops.stop_gradient(value) - self.average))


@serializable
class CodeDistance(keras.layers.Layer):
    """(z - m)^T S^-1 (z - m) / d of codes: their squared Mahalanobis distance, 1 on average over held-out normal images.

    m and C are running averages over training; S is C with a fraction of its mean variance added to the diagonal. This
    fraction lowers the mean distance, and held-out codes raise it; `calibrate` rescales the mean to 1.

    Args:
        dim: d, number of values per code.
        shrinkage: fraction of the mean variance added to the diagonal.
    """

    def __init__(self, dim, shrinkage=0.01, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.dim = dim
        self.shrinkage = shrinkage
        self.mean = RunningMean((dim,))
        self.square = RunningMean((dim, dim))
        self.built = True

    def update(self, codes):
        """Updates the statistics with a batch of codes (B, d)."""
        codes = ops.cast(codes, "float32")
        self.mean.update(ops.mean(codes, axis=0))
        self.square.update(tf.matmul(codes, codes, transpose_a=True) / tf.cast(tf.shape(codes)[0], "float32"))

    def covariance(self):
        """C: (d, d)."""
        mean = self.mean.average
        return self.square.average - mean[:, None] * mean[None, :]

    def rescale(self, factor):
        """Divides distances by a factor, by multiplying C with it."""
        self.square.average.assign_add((factor - 1.0) * self.covariance())

    def call(self, codes):
        """(B, d) -> (B,)."""
        def covariance():
            found = self.covariance()
            return found + (self.shrinkage * tf.linalg.trace(found) / self.dim + 1e-6) * tf.eye(self.dim)

        away = ops.cast(codes, "float32") - self.mean.average
        return tf.reduce_sum(tf.square(whitened(covariance, away)), axis=0) / self.dim


def mapped(error, blur):
    """Maps of the errors of each value: of images (B, H, W, C) their mean over channels, smoothed; of others themselves."""
    return blurred(ops.mean(error, axis=-1), blur) if len(error.shape) == 4 else error


def pooled(maps, top):
    """Mean of the highest fraction `top` (at least one) of the values of maps (B, H, W) -> (B,)."""
    count = math.prod(maps.shape[1:])
    highest = ops.top_k(ops.reshape(maps, (-1, count)), max(1, round(top * count)), sorted=False)
    return ops.mean(highest.values, axis=1)


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

"""Group normalisation in one pass over the features."""

import tensorflow as tf
from keras import layers, ops

from tfgen.serialization import serializable


@serializable
class GroupNorm(layers.Layer):
    """Group normalisation (Wu & He, 2018) of features (B, H, W, C), and then, if given, scale and shift of each image:

        y = (gamma (x - mean) / sqrt(variance + epsilon) + beta) (1 + scale) + shift,

    mean and variance of each image over the places and channels of a group. All of these are numbers per image and channel,
    so that the features are read twice and written once; Keras' own layer has several passes more.

    Args:
        groups: number of groups, a divisor of C.
        epsilon: added to the variance.
    """

    def __init__(self, groups, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, x_shape, *modulation_shape):
        self.channels = x_shape[-1]
        self.places = x_shape[1] * x_shape[2]
        self.gamma = self.add_weight((self.channels,), "ones", name="gamma")
        self.beta = self.add_weight((self.channels,), "zeros", name="beta")

    def of_groups(self, x):
        """Means over groups, for each channel: (B, H W, C) -> (B, C)."""
        means = ops.mean(ops.reshape(ops.mean(x, axis=1), (-1, self.groups, self.channels // self.groups)), axis=-1)
        return ops.repeat(means, self.channels // self.groups, axis=1)

    def call(self, x, modulation=None):
        """modulation: (B, 2 C), scale and shift of each image, or None."""
        flat = ops.cast(ops.reshape(x, (-1, self.places, self.channels)), "float32")
        mean = self.of_groups(flat)
        variance = ops.maximum(self.of_groups(ops.square(flat)) - ops.square(mean), 0.0)
        factor = ops.cast(self.gamma, "float32") * tf.math.rsqrt(variance + self.epsilon)
        offset = ops.cast(self.beta, "float32") - mean * factor
        if modulation is not None:
            scale, shift = ops.split(ops.cast(modulation, "float32"), 2, axis=-1)
            factor, offset = factor * (1.0 + scale), offset * (1.0 + scale) + shift
        factor, offset = (ops.cast(part[:, None, None], x.dtype) for part in (factor, offset))
        return x * factor + offset

    def compute_output_shape(self, x_shape, *modulation_shape):
        return x_shape

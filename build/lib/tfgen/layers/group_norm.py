"""Group normalisation in one pass over the features."""

import tensorflow as tf
from keras import layers, ops

from tfgen.serialization import serializable


@tf.custom_gradient
def moments(x):
    """Means and mean squares over the places of features (B, P, C): each (B, C).

    One expression is the gradient of both, with a pass less than two.
    """
    def gradient(of_means, of_squares):
        places = tf.cast(tf.shape(x)[1], x.dtype)
        return x * (2.0 * of_squares / places)[:, None] + (of_means / places)[:, None]

    return (tf.reduce_mean(x, 1), tf.reduce_mean(tf.square(x), 1)), gradient


@tf.custom_gradient
def affine(x, factor, offset):
    """x factor + offset for features (B, P, C) and numbers (B, C).

    The gradient sums over places at once; that of a product first finds out which axes were broadcast.
    """
    def gradient(made):
        return made * factor[:, None], tf.reduce_sum(made * x, 1), tf.reduce_sum(made, 1)

    return x * factor[:, None] + offset[:, None], gradient


@serializable
class GroupNorm(layers.Layer):
    """Group normalisation (Wu & He, 2018) of features (B, H, W, C), and then, if given, scale and shift of each image:

        y = (gamma (x - mean) / sqrt(variance + epsilon) + beta) (1 + scale) + shift,

    mean and variance of each image over the places and channels of a group. All of these are numbers per image and channel,
    so that the features are read twice and written once; Keras' own layer has several passes more.

    Args:
        groups: number of groups, a divisor of C.
        epsilon: added to the variance.
        constraint: of gamma and beta, a `keras.constraints.Constraint` or None.
    """

    def __init__(self, groups, epsilon=1e-5, constraint=None, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon
        self.constraint = constraint

    def build(self, x_shape, *modulation_shape):
        self.channels = x_shape[-1]
        self.places = x_shape[1] * x_shape[2]
        self.gamma = self.add_weight((self.channels,), "ones", name="gamma", constraint=self.constraint)
        self.beta = self.add_weight((self.channels,), "zeros", name="beta", constraint=self.constraint)

    def of_groups(self, means):
        """Means over groups, for each channel, of means of channels: (B, C) -> (B, C)."""
        means = ops.mean(ops.reshape(means, (-1, self.groups, self.channels // self.groups)), axis=-1)
        return ops.repeat(means, self.channels // self.groups, axis=1)

    def call(self, x, modulation=None):
        """modulation: (B, 2 C), scale and shift of each image, or None."""
        flat = ops.reshape(x, (-1, self.places, self.channels))
        mean, square = (self.of_groups(part) for part in moments(ops.cast(flat, "float32")))
        variance = ops.maximum(square - ops.square(mean), 0.0)
        factor = ops.cast(self.gamma, "float32") * tf.math.rsqrt(variance + self.epsilon)
        offset = ops.cast(self.beta, "float32") - mean * factor
        if modulation is not None:
            scale, shift = ops.split(ops.cast(modulation, "float32"), 2, axis=-1)
            factor, offset = factor * (1.0 + scale), offset * (1.0 + scale) + shift
        return ops.reshape(affine(flat, ops.cast(factor, x.dtype), ops.cast(offset, x.dtype)), ops.shape(x))

    def compute_output_shape(self, x_shape, *modulation_shape):
        return x_shape

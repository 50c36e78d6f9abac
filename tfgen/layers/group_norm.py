"""Group normalisation in one pass over the features."""

import numpy as np
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
        return x * tf.expand_dims(2.0 * of_squares / places, 1) + tf.expand_dims(of_means / places, 1)

    return (tf.reduce_mean(x, 1), tf.reduce_mean(tf.square(x), 1)), gradient


@tf.custom_gradient
def affine(x, factor, offset):
    """x factor + offset for features (B, P, C) and numbers (B, C).

    The gradient sums over places at once; that of a product first finds out which axes were broadcast.
    """
    def gradient(made):
        return made * tf.expand_dims(factor, 1), tf.reduce_sum(made * x, 1), tf.reduce_sum(made, 1)

    return x * tf.expand_dims(factor, 1) + tf.expand_dims(offset, 1), gradient


@serializable
class GroupNorm(layers.Layer):
    """Group normalisation (Wu & He, 2018) of features (B, H, W, C), and then, if given, scale and shift of each image:

        y = (gamma (x - mean) / sqrt(variance + epsilon) + beta) (1 + scale) + shift,

    mean and variance of each image over the places and channels of a group. All of these are numbers per image and channel,
    so that the features are read twice and written once; Keras' own layer has several passes more. The variance is the mean
    square less the squared mean, which float32, in which all is computed, resolves for means of up to a hundred standard
    deviations.

    Args:
        groups: number of groups, a divisor of C.
        epsilon: added to the variance.
        constraint: of gamma and beta, a `keras.constraints.Constraint` or None.
        learned: whether there are gamma and beta; else they are 1 and 0.
    """

    def __init__(self, groups, epsilon=1e-5, constraint=None, learned=True, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon
        self.constraint = constraint
        self.learned = learned

    def build(self, x_shape, *modulation_shape):
        self.channels = x_shape[-1]
        self.places = x_shape[1] * x_shape[2]
        if self.learned:
            about = {"constraint": self.constraint, "autocast": False}
            self.gamma = self.add_weight((self.channels,), "ones", name="gamma", **about)
            self.beta = self.add_weight((self.channels,), "zeros", name="beta", **about)
        else:
            self.gamma, self.beta = np.ones(self.channels), np.zeros(self.channels)

    def by_group(self, values):
        """(…, C) -> (…, groups, C / groups)."""
        return ops.reshape(values, (-1, self.groups, self.channels // self.groups))

    def call(self, x, modulation=None):
        """modulation: (B, 2 C), scale and shift of each image, or None."""
        flat = ops.cast(ops.reshape(x, (-1, self.places, self.channels)), "float32")
        mean, square = (tf.reduce_mean(self.by_group(of_channels), -1, keepdims=True) for of_channels in moments(flat))
        # A reciprocal of a root, as what `rsqrt` rounds to depends on an image's place in the batch.
        inverse = 1.0 / tf.sqrt(tf.maximum(square - tf.square(mean), 0.0) + self.epsilon)  # (B, groups, 1)
        factor = self.by_group(ops.cast(self.gamma, "float32")) * inverse
        offset = self.by_group(ops.cast(self.beta, "float32")) - mean * factor
        factor, offset = (ops.reshape(part, (-1, self.channels)) for part in (factor, offset))
        if modulation is not None:
            scale, shift = tf.split(ops.cast(modulation, "float32"), 2, axis=-1)
            scale += 1.0
            factor, offset = factor * scale, offset * scale + shift
        # Factor and offset nearly cancel where means are far from 0.
        return ops.cast(ops.reshape(affine(flat, factor, offset), (-1, *x.shape[1:])), x.dtype)

    def compute_output_shape(self, x_shape, *modulation_shape):
        return x_shape

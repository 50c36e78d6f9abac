"""Bijectors of each value, or of each channel, on its own: logit, scaling, normalisations."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.distributions.bijectors.base import Bijector, per_row, positions, sum_event
from tfgen.distributions.scales import check_scaling
from tfgen.errors import UserError
from tfgen.serialization import serializable


@serializable
class Logit(Bijector):
    """z = logit(p), p = alpha + (1 - 2 alpha) x for x in [0, 1]; log dz/dx = log(1 - 2 alpha) - log p - log(1 - p).

    Args:
        alpha: in [0, 0.5): distance of p from 0 and 1. 0.05 in Dinh et al. (2017), 1e-6 on MNIST in Papamakarios et al.
            (2017); with 0, x must lie within (0, 1).

    Raises:
        UserError: for another alpha.
    """

    def __init__(self, alpha=0.05, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= alpha < 0.5:
            raise UserError(f"Logit(alpha) expects a number in [0, 0.5), received {alpha}")
        self.alpha = alpha

    def forward_and_log_det(self, x, context=None, training=False):
        width = 1.0 - 2.0 * self.alpha
        # 1 - p from 1 - x, which float32 holds near x = 1 better than p.
        log_p, log_rest = ops.log(self.alpha + width * x), ops.log(self.alpha + width * (1.0 - x))
        return log_p - log_rest, sum_event(math.log(width) - log_p - log_rest)

    def inverse(self, z, context=None):
        return (ops.sigmoid(z) - self.alpha) / (1.0 - 2.0 * self.alpha)


@serializable
class Sigmoid(Bijector):
    """z = sigmoid(x) in (0, 1); log dz/dx = -softplus(x) - softplus(-x)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def forward_and_log_det(self, x, context=None, training=False):
        return ops.sigmoid(x), -sum_event(ops.softplus(x) + ops.softplus(-x))

    def inverse(self, z, context=None):
        return ops.log(z) - ops.log(1.0 - z)


@serializable
class Standardise(Bijector):
    """z = (x - location) / scale with given numbers; log |det dz/dx| = -sum log scale, over all positions.

    Args:
        location, scale: one number per value of the last axis of x, scale > 0: those of a `tfgen.data.DataSpec`.

    Raises:
        UserError: for another number of locations than scales, or a scale that is not positive.
    """

    def __init__(self, location, scale, **kwargs):
        super().__init__(**kwargs)
        check_scaling("Standardise", location, scale)
        self.location = tuple(location)
        self.scale = tuple(scale)

    def forward_and_log_det(self, x, context=None, training=False):
        location, scale = (ops.convert_to_tensor(value, x.dtype) for value in (self.location, self.scale))
        return (x - location) / scale, per_row(-positions(x.shape) * sum(map(math.log, self.scale)), x)

    def inverse(self, z, context=None):
        location, scale = (ops.convert_to_tensor(value, z.dtype) for value in (self.location, self.scale))
        return location + scale * z


@serializable
class Scaling(Bijector):
    """z = exp(log_scale) x, a scale per value, from 1 (Dinh et al., 2015, section 3.3); log |det| = sum log_scale."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.log_scale = self.add_weight(tuple(input_shape[1:]), "zeros", name="log_scale")

    def forward_and_log_det(self, x, context=None, training=False):
        log_scale = ops.convert_to_tensor(self.log_scale)
        return x * ops.exp(log_scale), per_row(ops.sum(log_scale), x)

    def inverse(self, z, context=None):
        return z * ops.exp(-ops.convert_to_tensor(self.log_scale))


@serializable
class ActNorm(Bijector):
    """z = exp(log_scale) x + bias per channel (Kingma & Dhariwal, 2018, section 3.1).

    The first training batch sets the weights so that its z has mean 0 and deviation 1 per channel; from then on they are
    trained as any. Before it, z = x. log |det dz/dx| = H W sum log_scale.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.log_scale = self.add_weight(shape, "zeros", name="log_scale")
        self.bias = self.add_weight(shape, "zeros", name="bias")
        self.initialised = self.add_weight((), "zeros", name="initialised", trainable=False)

    def initialise(self, x):
        """Sets the weights by the batch x, unless one has."""
        axes = tuple(range(len(x.shape) - 1))
        # Replicas must not meet within the condition.
        found = replicas.moments(x, axes) if replicas.current() else None

        def measured():
            mean, variance = found or tf.nn.moments(x, axes)
            log_scale = -tf.math.log(tf.sqrt(variance) + 1e-6)
            return log_scale, -mean * tf.exp(log_scale)

        log_scale, bias = tf.cond(tf.convert_to_tensor(self.initialised) > 0, lambda: (
            tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.bias)), measured)
        self.log_scale.assign(tf.stop_gradient(log_scale))
        self.bias.assign(tf.stop_gradient(bias))
        self.initialised.assign(tf.ones((), self.initialised.dtype))

    def forward_and_log_det(self, x, context=None, training=False):
        if training:
            self.initialise(tf.cast(x, self.log_scale.dtype))
        log_scale = ops.convert_to_tensor(self.log_scale)
        log_det = per_row(positions(x.shape) * ops.sum(log_scale), x)
        return x * ops.cast(ops.exp(log_scale), x.dtype) + ops.cast(self.bias, x.dtype), log_det

    def inverse(self, z, context=None):
        return (z - self.bias) * ops.exp(-ops.convert_to_tensor(self.log_scale))


@serializable
class BatchNorm(Bijector):
    """z = exp(log_gamma) (x - mean) / sqrt(variance + epsilon) + beta per channel (Dinh et al., 2017, section 3.7).

    Mean and variance are the batch's in training and running averages else. log |det dz/dx| = H W sum_c (log_gamma_c -
    log(variance_c + epsilon) / 2), of each row given the statistics.

    Args:
        momentum: of the running averages, in [0, 1).
        epsilon: > 0; 1e-4 in Dinh et al.'s code, 1e-5 in that of Papamakarios et al.
        affine: whether log_gamma and beta are trained from 0 (Papamakarios et al., 2017), else 0.
    """

    def __init__(self, momentum=0.9, epsilon=1e-4, affine=False, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.affine = affine

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape, "ones", trainable=False, name="variance")
        self.log_gamma = self.add_weight(shape, "zeros", name="log_gamma") if self.affine else None
        self.beta = self.add_weight(shape, "zeros", name="beta") if self.affine else None

    def statistics(self, x, training):
        """Mean and variance per channel in use; in training the running averages move towards the batch's."""
        if not training:
            return tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)
        found = replicas.moments(x, axes=tuple(range(len(x.shape) - 1)))
        for running, value in zip((self.mean, self.variance), found):
            running.assign(self.momentum * running + (1.0 - self.momentum) * tf.stop_gradient(value))
        return found

    def scale_and_shift(self):
        """log gamma and beta, 0 without `affine`."""
        return (ops.convert_to_tensor(self.log_gamma), ops.convert_to_tensor(self.beta)) if self.affine else (0.0, 0.0)

    def forward_and_log_det(self, x, context=None, training=False):
        mean, variance = self.statistics(x, training)
        log_gamma, beta = self.scale_and_shift()
        log_scale = log_gamma - 0.5 * ops.log(variance + self.epsilon)
        return (x - mean) * ops.exp(log_scale) + beta, per_row(positions(x.shape) * ops.sum(log_scale), x)

    def inverse(self, z, context=None):
        log_gamma, beta = self.scale_and_shift()
        log_scale = log_gamma - 0.5 * ops.log(ops.convert_to_tensor(self.variance) + self.epsilon)
        return (z - beta) * ops.exp(-log_scale) + self.mean


def uses_batch_statistics(layer):
    """Whether a bijector, or a network in it, normalises by batch statistics in training."""
    return any(isinstance(part, (BatchNorm, keras.layers.BatchNormalization)) for part in layer._flatten_layers())

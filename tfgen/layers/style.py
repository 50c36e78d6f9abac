"""Layers of progressive and style-based generators that Keras does not have."""

import math

import keras
import numpy as np
from keras import ops

from tfgen.errors import UserError
from tfgen.serialization import serializable


@serializable
class PixelNorm(keras.layers.Layer):
    """x / sqrt(mean over channels of x^2 + 1e-8): unit mean square at each position (Karras et al., 2018, section 4.2)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        # Squares and the small constant need float32.
        wide = ops.cast(x, "float32")
        return ops.cast(wide / ops.sqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + 1e-8), x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@serializable
class Blur(keras.layers.Layer):
    """Binomial filter of 3x3 places per channel, weights [1, 2, 1] / 4 along each axis, zeros around (Zhang, 2019)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        # Sums of shifted slices take forty times as long in training: their gradients are not vectorised on a CPU.
        line = np.array([1.0, 2.0, 1.0]) / 4.0
        kernel = np.tile(np.outer(line, line)[..., None, None], (1, 1, x.shape[-1], 1))
        return ops.depthwise_conv(x, ops.convert_to_tensor(kernel, x.dtype), padding="same")

    def compute_output_shape(self, input_shape):
        return input_shape


@serializable
class Learned(keras.layers.Layer):
    """A learned tensor, initially ones, repeated per row of the input; the constant input of a style generator.

    Args:
        shape: shape of one row.
    """

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def build(self, input_shape):
        self.value = self.add_weight(self.shape, "ones", name="value")

    def call(self, x):
        return ops.broadcast_to(ops.convert_to_tensor(self.value)[None], (ops.shape(x)[0], *self.shape))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.shape)


@serializable
class SlowDense(keras.layers.Layer):
    """y = x W + b with an equalised learning rate, multiplied by `rate` (Karras et al., 2019).

    W = rate sqrt(2) / sqrt(inputs) * W', W' ~ N(0, 1 / rate^2) stored; b = rate * b'.

    Args:
        units: number of outputs.
        rate: learning rate multiplier, > 0.

    Raises:
        UserError: for a rate that is not positive.
    """

    def __init__(self, units, rate=0.01, **kwargs):
        super().__init__(**kwargs)
        if rate <= 0:
            raise UserError(f"SlowDense(rate) expects a positive number, received {rate}")
        self.units = units
        self.rate = rate

    def build(self, input_shape):
        start = keras.initializers.RandomNormal(0.0, 1.0 / self.rate)
        self.kernel = self.add_weight((input_shape[-1], self.units), start, name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def call(self, x):
        return ops.matmul(x, self.kernel * (self.rate * math.sqrt(2.0 / x.shape[-1]))) + self.rate * self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

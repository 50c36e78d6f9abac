"""Periodic layers of fields: sine activations and Fourier features of coordinates."""

import math

import keras
import numpy as np
from keras import ops

from tfgen.layers.full_precision import at_least_float32, product
from tfgen.serialization import serializable


@serializable
class Sine(keras.layers.Layer):
    """sin(w0 x) (Sitzmann et al., 2020), in float32 at least.

    Args:
        w0: frequency, > 0.
    """

    def __init__(self, w0=30.0, **kwargs):
        super().__init__(**kwargs)
        self.w0 = w0
        self.autocast = False
        self.built = True

    def call(self, x):
        return ops.sin(self.w0 * at_least_float32(x))

    def compute_output_shape(self, input_shape):
        return input_shape


@serializable
class AxisFrequencies(keras.initializers.Initializer):
    """Kernel (D, D m) of `FourierFeatures` with the same m frequencies along each of D axes.

    Args:
        frequencies: m numbers, in cycles per unit of a coordinate.
    """

    def __init__(self, frequencies):
        self.frequencies = list(frequencies)

    def __call__(self, shape, dtype=None):
        kernel = np.kron(np.eye(shape[0]), np.asarray(self.frequencies)[None])
        return ops.convert_to_tensor(np.reshape(kernel, shape), dtype or keras.config.floatx())


@serializable
class FourierFeatures(keras.layers.Layer):
    """[cos(2 pi x B), sin(2 pi x B)] with a fixed matrix B of frequencies (Tancik et al., 2020), in float32 at least.

    Args:
        units: columns of B, the number of frequency vectors.
        frequencies: initialiser of B (D, units), in cycles per unit of a coordinate: `AxisFrequencies`, or
            `keras.initializers.RandomNormal(stddev=...)` for Gaussian features.
        keep_input: whether the coordinates themselves are put before the features.

    Coordinates (..., D) give (..., 2 units), or (..., D + 2 units) with `keep_input`.
    """

    def __init__(self, units, frequencies, keep_input=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.frequencies = frequencies
        self.keep_input = keep_input
        self.autocast = False

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), self.frequencies, trainable=False, name="frequencies",
                                      autocast=False)

    def call(self, x):
        x = at_least_float32(x)
        angles = 2.0 * math.pi * product(x, self.kernel)
        return ops.concatenate([*[x] * self.keep_input, ops.cos(angles), ops.sin(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] * self.keep_input + 2 * self.units)


def positional_encoding(dim, count):
    """(x, cos(2^k x), sin(2^k x)), k = 0 ... count - 1, of each of `dim` coordinates (Mildenhall et al., 2020).

    The frequencies are those of the authors' code; the paper's, for coordinates in [-1, 1], are pi times as high.

    Returns:
        A `FourierFeatures` layer, (..., dim) -> (..., dim (1 + 2 count)).
    """
    return FourierFeatures(dim * count, AxisFrequencies([2.0**k / (2.0 * math.pi) for k in range(count)]), keep_input=True)

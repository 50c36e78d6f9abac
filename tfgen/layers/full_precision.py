"""Layers that compute in full precision, whatever the policy: of coordinates, of rows in their own units, of sums' weights.

Half precision has 8 bits: it makes one number of neighbouring coordinates, and of rows that are far from 0. TensorFlow gives
matrix products on NVIDIA's GPUs 10 bits (TF32), unless it is told otherwise, so that few coordinates are multiplied one by
one.
"""

import keras
from keras import ops

# Largest number of coordinates that are multiplied one by one: two or three of a place.
FEW = 4


def at_least_float32(x):
    """A tensor in float32, or in its own type if that is wider."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def product(x, kernel):
    """x (..., n) times a kernel (n, m), in full precision for up to `FEW` coordinates n: (..., m)."""
    if x.shape[-1] > FEW:
        return ops.matmul(x, kernel)
    return sum(x[..., index:index + 1] * kernel[index] for index in range(x.shape[-1]))


@keras.saving.register_keras_serializable(package="tfgen")
class FullPrecisionDense(keras.layers.Dense):
    """`keras.layers.Dense` in the type in which the global policy keeps variables; `dtype` is ignored."""

    def __init__(self, units, *, dtype=None, **kwargs):
        super().__init__(units, dtype=keras.config.dtype_policy().variable_dtype, **kwargs)

    def call(self, inputs, training=None):
        x = product(inputs, self.kernel)
        x = x if self.bias is None else x + self.bias
        return x if self.activation is None else self.activation(x)


@keras.saving.register_keras_serializable(package="tfgen")
class FullPrecisionRescaling(keras.layers.Rescaling):
    """`keras.layers.Rescaling` in the type in which the global policy keeps variables; `dtype` is ignored."""

    def __init__(self, scale, offset=0.0, *, dtype=None, **kwargs):
        super().__init__(scale, offset, dtype=keras.config.dtype_policy().variable_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="tfgen")
class FullPrecisionSoftmax(keras.layers.Softmax):
    """`keras.layers.Softmax` computed in float32 and rounded once: bfloat16 rounds each exponential and their sum."""

    def call(self, inputs, mask=None):
        return ops.cast(super().call(at_least_float32(inputs), mask), inputs.dtype)

"""Nearest-neighbour doubling and a convolution in one step."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def double(x, grid):
    """(B, h, w, C) -> (B, *grid, C): nearest-neighbour doubling; the last pixel of an odd side is dropped."""
    made = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
    # The gradient of a slice takes long, of one that drops nothing too.
    return made if tuple(made.shape[1:3]) == tuple(grid) else made[:, :grid[0], :grid[1]]


@functools.cache
def sums(side):
    """float32 ((k + 1)^2, k^2): the reversed kernel's sums over 2x2 neighbours."""
    line = np.eye(side + 1, side) + np.eye(side + 1, side, -1)
    return np.kron(line, line)[:, ::-1].astype("float32")


@keras.saving.register_keras_serializable(package="tfgen")
class DoublingConv2D(layers.Conv2D):
    """A convolution (kernel of an odd side k, zeros around) of features doubled by nearest neighbours and cropped to a grid.

    Doubled, each value stands in a square of 2x2; the sum over squares is a transposed convolution of stride 2, its kernel
    of side k + 1 the sums of 2x2 neighbours of the reversed kernel:

        y[2 i + p - (k + 1) / 2 + 1] += x[i] (w_reversed * ones(2, 2))[p],

    (k + 1)^2 / (4 k^2) of the multiply-adds, 0.44 for k = 3. For a grid that is not twice the input's, whose border lies
    elsewhere, features are doubled and cropped.

    Args:
        filters: channels of the output.
        kernel_size: k, odd.
        grid: (H, W) of the output, each 2 h or 2 h - 1.
        options: of `keras.layers.Conv2D`.
    """

    def __init__(self, filters, kernel_size, grid, **options):
        super().__init__(filters, kernel_size, **{"padding": "same"} | options)
        self.grid = tuple(grid)

    def call(self, x):
        if self.grid != (2 * x.shape[1], 2 * x.shape[2]):
            return super().call(double(x, self.grid))
        side, (inputs, outputs) = self.kernel_size[0], self.kernel.shape[2:]
        # One product, whose gradient is one product: slices and sums of the kernel take three times as long.
        kernel = ops.matmul(ops.cast(sums(side), x.dtype), ops.reshape(ops.cast(self.kernel, x.dtype), (side**2, -1)))
        kernel = ops.swapaxes(ops.reshape(kernel, (side + 1, side + 1, inputs, outputs)), -1, -2)
        made = tf.nn.conv2d_transpose(x, kernel, (tf.shape(x)[0], *self.grid, self.filters), 2, "SAME")
        return self.activation(tf.nn.bias_add(made, ops.cast(self.bias, x.dtype)) if self.use_bias else made)

    def compute_output_shape(self, x_shape):
        return x_shape[0], *self.grid, self.filters

    def get_config(self):
        return super().get_config() | {"grid": self.grid}

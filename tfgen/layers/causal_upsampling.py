"""Causal layers that double the grid: transposed convolutions with stride 2."""

import tensorflow as tf
from keras import ops

from tfgen.layers.causal import ROW, CausalLayer
from tfgen.layers.slices import sliced
from tfgen.serialization import serializable


class _Upsampling(CausalLayer):
    """(B, h, w, channels) -> (B, 2 h, 2 w, filters)."""

    width = 2

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        self.columns, self.channels = input_shape[2:]
        self.kernel = self.add_weight((2, self.width, self.filters, self.channels), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias")

    def call(self, x):
        y = ops.conv_transpose(x, ops.cast(self.kernel, x.dtype), 2, padding="valid") + ops.cast(self.bias, x.dtype)
        return sliced(y, 2, self.width - 2, y.shape[2]) if self.width > 2 else y

    def start(self, batch):
        """The coarse row."""
        return tf.zeros((batch, 1, self.columns, self.channels), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[1], 2 * input_shape[2], self.filters)


@serializable
class VerticalUpsampling(_Upsampling):
    """Transposed convolution of 2 rows and 3 columns for maps that are known by the row (Salimans et al., 2017).

    Fine rows 2 i and 2 i + 1 take coarse row i, fine column 2 j + 1 also coarse column j + 1.

    Args:
        filters: output channels.
    """

    rate = ROW
    width = 3

    def step(self, x, state, at):
        row = tf.where(at[0] % 2 == 0, x, state)
        return self.call(row)[:, at[0] % 2, None], row


@serializable
class PixelUpsampling(_Upsampling):
    """Transposed convolution of 2x2: four fine pixels from each coarse one, by own weights (Salimans et al., 2017).

    Args:
        filters: output channels.
    """

    def step(self, x, state, at):
        row, column = at
        new = (tf.range(self.columns) == column // 2) & (row % 2 == 0) & (column % 2 == 0)
        state = tf.where(new[:, None], x, state)
        weights = tf.cast(tf.convert_to_tensor(self.kernel)[row % 2, column % 2], x.dtype)  # (filters, channels)
        y = tf.matmul(state[:, 0, column // 2], weights, transpose_b=True) + tf.cast(self.bias, x.dtype)
        return y[:, None, None], state

"""The Row LSTM, a causal layer that is recurrent from row to row."""

import tensorflow as tf
from keras import ops

from tfgen.layers.causal import CausalLayer
from tfgen.serialization import serializable


@serializable
class RowLSTM(CausalLayer):
    """Row LSTM (van den Oord et al., 2016, PixelRNN, equation 3): states of a row follow from those of the row above.

    With the input-to-state map x and the convolution K over columns c - reach ... c + reach of the row above:
    o, f, i, g = sigmoid, sigmoid, sigmoid, tanh of x_r + K h_{r-1}; c_r = f c_{r-1} + i g; h_r = o tanh(c_r).

    Args:
        units: channels of h; the input has four times as many, in the order o, f, i, g.
        reach: columns to either side, >= 0; 1 in the paper.
    """

    def __init__(self, units, reach=1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.reach = reach

    def build(self, input_shape):
        self.columns = input_shape[2]
        shape = (1, 2 * self.reach + 1, self.units, 4 * self.units)
        self.kernel = self.add_weight(shape, "orthogonal", name="kernel")

    def from_above(self, h):
        """K h: (B, 1, W, units) -> (B, 1, W, 4 units)."""
        padded = ops.pad(h, [[0, 0], [0, 0], [self.reach, self.reach], [0, 0]])
        return ops.conv(padded, ops.cast(self.kernel, h.dtype), padding="valid")

    @staticmethod
    def updated(gates, c):
        """(h, c) of gates (…, 4 units) and the cells above (…, units)."""
        o, f, i, g = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c

    def call(self, x):
        rows = tf.transpose(x, (1, 0, 2, 3))[:, :, None]  # (H, B, 1, W, 4 units)
        nothing = tf.zeros_like(rows[0, ..., :self.units])
        h, _ = tf.scan(lambda state, row: self.updated(row + self.from_above(state[0]), state[1]), rows, (nothing, nothing))
        return tf.transpose(h[:, :, 0], (1, 0, 2, 3))

    def start(self, batch):
        """Cells of the row above, what it adds to the gates; h and c of the own row as far as they are known."""
        row = tf.zeros((batch, 1, self.columns, self.units), self.compute_dtype)
        return row, tf.tile(row, (1, 1, 1, 4)), row, row

    def begin_row(self, state, row):
        _, _, h, c = state
        return c, self.from_above(h), tf.zeros_like(h), tf.zeros_like(c)

    def step(self, x, state, at):
        above, gates, own_h, own_c = state
        h, c = self.updated(x + gates[:, :, at[1], None], above[:, :, at[1], None])
        here = (tf.range(self.columns) == at[1])[:, None]
        return h, (above, gates, tf.where(here, h, own_h), tf.where(here, c, own_c))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

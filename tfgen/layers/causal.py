"""Causal layers: each has a parallel form (`call`) and an incremental one (`step`), from which samplers are made."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.slices import sliced
from tfgen.serialization import serializable

ROW, PIXEL = "row", "pixel"


class CausalLayer(keras.layers.Layer):
    """A layer of maps (B, H, W, channels) whose output at a pixel depends on no later pixel in raster order.

    `call(x)` computes all pixels at once. `step(x, state, at)` computes the same for one pixel, or for one row, from the
    input there and a state: what the layer keeps of earlier pixels. A sampler then recomputes only what a new pixel changes.

    Where a network halves and doubles its grid, `step` runs at the finer grid of the layer's input and output.

    Attributes:
        rate: "pixel": `step` takes one pixel, (B, 1, 1, channels); "row": one row, (B, 1, W, channels), and the output at a
            row depends on no pixel to the right or left in it.
        strict: whether the output at a pixel (a row) depends on earlier pixels (rows) alone, and perhaps on the earlier
            colour channels of the pixel itself. Layers on the image must be strict, and so must layers of rate "row" on maps
            that are known by the pixel: their input of a row comes when the row is complete.
    """

    rate = PIXEL
    strict = False

    def start(self, batch):
        """The state before the first pixel, for `batch` images (int tensor): a nest of tensors, () for none."""
        return ()

    def begin_row(self, state, row):
        """The state before the first pixel of row `row` (int32 scalar); layers of rate "pixel" only."""
        return state

    def end_row(self, state, row):
        """The state after the last pixel of row `row`, of the structure and shapes of `start`; as `begin_row`."""
        return state

    def step(self, x, state, at):
        """(output, new state) at one pixel or row.

        Args:
            x: input there; where it is not yet complete, the rest is arbitrary, and the output does not depend on it.
            state: of `start`, or of the previous pixel's or row's `step`.
            at: (row, column), or (row,) for layers of rate "row": int32 scalar tensors.

        A layer whose `call` has further arguments takes those with which it was called in the network.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(x, state, at)")


def allowed(inputs, outputs, groups, strict):
    """Mask (inputs, outputs) of weights within one pixel.

    Channel i belongs to colour i mod `groups`. An output of colour g takes inputs of colours below g, and g unless `strict`.
    """
    colour_in, colour_out = np.arange(inputs)[:, None] % groups, np.arange(outputs)[None] % groups
    return (colour_in < colour_out if strict else colour_in <= colour_out).astype("float32")


class _CausalConv(CausalLayer):
    """What the two convolutions share: arguments, weights and the bias."""

    def keep(self, filters, strict, strides, use_bias, kernel_initializer, **reach):
        for name, value in (reach | {"strides": strides - 1}).items():
            require(value >= 0, f"{type(self).__name__} expects {name} >= {int(name == 'strides')}, received {value}")
        self.filters = filters
        self.strict = strict
        self.strides = strides
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer

    def add_kernel(self, *shape):
        self.kernel = self.add_weight((*shape, self.filters), self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias") if self.use_bias else None

    def finished(self, y):
        return y + ops.cast(self.bias, y.dtype) if self.use_bias else y

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(-(-side // self.strides) for side in input_shape[1:3]), self.filters)


@serializable
class VerticalConv(_CausalConv):
    """Convolution over the rows above, and the own row unless `strict` (van den Oord et al., 2016: the vertical stack).

    The output at (r, c) takes columns c - left ... c + right of rows r - above ... r, or ... r - 1 if strict.

    Args:
        filters: output channels.
        above, left, right: numbers of rows and columns, >= 0.
        strict: whether the own row is excluded. Otherwise the input at a row must depend on earlier rows alone.
        strides: s; the output is that of every s-th row and column, from the first.
        use_bias: whether a bias is added.
        kernel_initializer: Keras initializer.
    """

    rate = ROW

    def __init__(self, filters, above=1, left=1, right=1, strict=False, strides=1, use_bias=True,
                 kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.keep(filters, strict, strides, use_bias, kernel_initializer, above=above, left=left, right=right)
        require(above or not strict, "a strict VerticalConv expects above >= 1, received 0")
        self.above = above
        self.left = left
        self.right = right

    def build(self, input_shape):
        self.columns, channels = input_shape[2:]
        self.add_kernel(self.above + (not self.strict), self.left + 1 + self.right, channels)

    def convolved(self, x, strides):
        padded = ops.pad(x, [[0, 0], [0, 0], [self.left, self.right], [0, 0]])
        return self.finished(ops.conv(padded, ops.cast(self.kernel, x.dtype), strides, padding="valid"))

    def call(self, x):
        seen = sliced(x, 1, 0, -1) if self.strict else x
        return self.convolved(ops.pad(seen, [[0, 0], [self.above, 0], [0, 0], [0, 0]]), self.strides)

    def start(self, batch):
        return tf.zeros((batch, self.above, self.columns, self.kernel.shape[2]), self.compute_dtype) if self.above else ()

    def step(self, x, state, at):
        rows = tf.concat([state, x], 1) if self.above else x
        made = self.convolved(state if self.strict else rows, (1, self.strides))
        return made, rows[:, 1:] if self.above else ()


@serializable
class HorizontalConv(_CausalConv):
    """Convolution over the pixels to the left, and the own pixel unless it is masked (masks A and B of the PixelRNN paper).

    The output at (r, c) takes columns c - left ... c of row r. Within the own pixel, colours see earlier colours, and each
    itself unless `strict`.

    Args:
        filters: output channels, a multiple of `groups`.
        left: number of columns to the left, >= 0; 0 is a convolution of single pixels.
        strict: mask A, in which a colour does not see itself, instead of mask B.
        groups: number of colours; channel i belongs to colour i mod groups.
        strides: s; the output is that of every s-th row and column, from the first.
        use_bias: whether a bias is added.
        kernel_initializer: Keras initializer.
    """

    def __init__(self, filters, left=1, strict=False, groups=1, strides=1, use_bias=True,
                 kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.keep(filters, strict, strides, use_bias, kernel_initializer, left=left)
        require(groups >= 1 and filters % groups == 0,
                f"HorizontalConv expects filters that groups={groups} divides, received {filters}")
        require(left or not strict or groups > 1, "HorizontalConv with mask A expects left >= 1 or groups >= 2, received "
                                                  f"left={left} and groups={groups}")
        self.left = left
        self.groups = groups
        self.own = not strict or groups > 1  # whether the own pixel has weights

    def build(self, input_shape):
        channels = input_shape[-1]
        require(channels % self.groups == 0, f"HorizontalConv expects channels that groups={self.groups} divides, "
                                             f"received {channels}")
        self.add_kernel(1, self.left + self.own, channels)
        self.mask = None
        if self.own and self.groups > 1:
            self.mask = np.ones(self.kernel.shape, "float32")
            self.mask[0, -1] = allowed(channels, self.filters, self.groups, self.strict)

    def weights_in(self, dtype):
        return ops.cast(self.kernel if self.mask is None else self.kernel * self.mask, dtype)

    def call(self, x):
        seen = x if self.own else sliced(x, 2, 0, -1)
        padded = ops.pad(seen, [[0, 0], [0, 0], [self.left, 0], [0, 0]])
        return self.finished(ops.conv(padded, self.weights_in(x.dtype), self.strides, padding="valid"))

    def start(self, batch):
        return tf.zeros((batch, 1, self.left, self.kernel.shape[2]), self.compute_dtype) if self.left else ()

    def begin_row(self, state, row):
        return tf.nest.map_structure(tf.zeros_like, state)

    def step(self, x, state, at):
        pixels = tf.concat([state, x], 2) if self.left else x  # (B, 1, left + 1, channels)
        seen = pixels if self.own else state
        # A product of matrices: a convolution's set-up would take longer than the sum.
        kernel = self.weights_in(x.dtype)
        flat = tf.reshape(seen, (-1, kernel.shape[1] * kernel.shape[2]))
        y = self.finished(tf.matmul(flat, tf.reshape(kernel, (-1, self.filters))))
        return y[:, None, None], pixels[:, :, 1:] if self.left else ()


@serializable
class Gate(keras.layers.Layer):
    """activation(a) sigmoid(b) of the two halves a and b of the channels (van den Oord et al., 2016, equation 2).

    Args:
        activation: Keras activation.
    """

    pointwise = True

    def __init__(self, activation="tanh", **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, x):
        a, b = ops.split(x, 2, axis=-1)
        return keras.activations.get(self.activation)(a) * ops.sigmoid(b)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)


@serializable
class AppendOnes(keras.layers.Layer):
    """Appends a channel of ones, which tells the image from the zeros around it (Salimans et al., 2017)."""

    pointwise = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        return ops.concatenate([x, ops.ones_like(x[..., :1])], axis=-1)

"""Causal layers: each has a parallel form (`call`) and an incremental one (`step`), from which samplers are made."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.serialization import serializable

ROW, PIXEL = "row", "pixel"


class CausalLayer(keras.layers.Layer):
    """A layer of maps (B, H, W, channels) whose output at a pixel depends on no later pixel in raster order.

    `call(x)` computes all pixels at once. `step(x, state, at)` computes the same for one pixel, or for one row, from the
    input there and a state: what the layer keeps of earlier pixels. A sampler then recomputes only what a new pixel changes.

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
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(x, state, at)")


def allowed(inputs, outputs, groups, strict):
    """Mask (inputs, outputs) of weights within one pixel.

    Channel i belongs to colour i mod `groups`. An output of colour g takes inputs of colours below g, and g unless `strict`.
    """
    colour_in, colour_out = np.arange(inputs)[:, None] % groups, np.arange(outputs)[None] % groups
    return (colour_in < colour_out if strict else colour_in <= colour_out).astype("float32")


class _CausalConv(CausalLayer):
    """What the two convolutions share: weights, arguments and the width to which they look back."""

    def __init__(self, filters, kernel_size=3, strict=False, groups=1, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        require(kernel_size >= 1 and kernel_size % 2, f"kernel_size expects an odd number >= 1, received {kernel_size}")
        require(filters % groups == 0, f"filters expects a multiple of groups={groups}, received {filters}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strict = strict
        self.groups = groups
        self.use_bias = use_bias
        self.reach = kernel_size // 2

    def add_kernel(self, *shape):
        self.kernel = self.add_weight((*shape, self.filters), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias") if self.use_bias else None

    def finished(self, y):
        return y + ops.cast(self.bias, y.dtype) if self.use_bias else y

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@serializable
class VerticalConv(_CausalConv):
    """Convolution over the rows above, and the own row unless `strict` (van den Oord et al., 2016: the vertical stack).

    With kernel_size k: columns c - k//2 ... c + k//2 of rows r - k//2 ... r, or ... r - 1 if strict.

    Args:
        filters: output channels.
        kernel_size: k, odd.
        strict: whether the own row is excluded. Otherwise the input at a row must depend on earlier rows alone.
        groups: ignored: channels of other rows are visible to all colours.
        use_bias: whether a bias is added.
    """

    rate = ROW

    def build(self, input_shape):
        self.columns, channels = input_shape[2:]
        rows = self.reach + (not self.strict)
        require(rows, "a strict VerticalConv expects kernel_size >= 3, received 1")
        self.add_kernel(rows, self.kernel_size, channels)

    def convolved(self, x):
        padded = ops.pad(x, [[0, 0], [0, 0], [self.reach, self.reach], [0, 0]])
        return self.finished(ops.conv(padded, ops.cast(self.kernel, x.dtype), padding="valid"))

    def call(self, x):
        seen = x[:, :-1] if self.strict else x
        return self.convolved(ops.pad(seen, [[0, 0], [self.reach, 0], [0, 0], [0, 0]]))

    def start(self, batch):
        return tf.zeros((batch, self.reach, self.columns, self.kernel.shape[2]), self.compute_dtype) if self.reach else ()

    def step(self, x, state, at):
        rows = tf.concat([state, x], 1) if self.reach else x
        return self.convolved(state if self.strict else rows), rows[:, 1:] if self.reach else ()


@serializable
class HorizontalConv(_CausalConv):
    """Convolution over the pixels to the left, and the own pixel unless it is masked (masks A and B of the PixelRNN paper).

    With kernel_size k: columns c - k//2 ... c of the own row. Within the own pixel, colours see earlier colours, and each
    other unless `strict`.

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: k, odd; 1 is a convolution of single pixels.
        strict: mask A, in which a colour does not see itself, instead of mask B.
        groups: number of colours; channel i belongs to colour i mod groups.
        use_bias: whether a bias is added.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        self.own = not self.strict or self.groups > 1  # whether the own pixel has weights
        require(self.reach or self.own, "HorizontalConv with mask A expects kernel_size >= 3 or groups >= 2")
        require(channels % self.groups == 0, f"HorizontalConv expects channels that groups={self.groups} divides, "
                                             f"received {channels}")
        self.add_kernel(1, self.reach + self.own, channels)
        self.mask = None
        if self.own and self.groups > 1:
            self.mask = np.ones(self.kernel.shape, "float32")
            self.mask[0, -1] = allowed(channels, self.filters, self.groups, self.strict)

    def weights_in(self, dtype):
        kernel = self.kernel if self.mask is None else self.kernel * self.mask
        return ops.cast(kernel, dtype)

    def call(self, x):
        seen = x if self.own else x[:, :, :-1]
        padded = ops.pad(seen, [[0, 0], [0, 0], [self.reach, 0], [0, 0]])
        return self.finished(ops.conv(padded, self.weights_in(x.dtype), padding="valid"))

    def start(self, batch):
        return tf.zeros((batch, 1, self.reach, self.kernel.shape[2]), self.compute_dtype) if self.reach else ()

    def begin_row(self, state, row):
        return tf.nest.map_structure(tf.zeros_like, state)

    def step(self, x, state, at):
        pixels = tf.concat([state, x], 2) if self.reach else x  # (B, 1, reach + 1, channels)
        seen = pixels if self.own else state
        # A product of matrices: a convolution's set-up would take longer than the sum.
        kernel = self.weights_in(x.dtype)
        flat = tf.reshape(seen, (-1, kernel.shape[1] * kernel.shape[2]))
        y = self.finished(tf.matmul(flat, tf.reshape(kernel, (-1, self.filters))))
        return y[:, None, None], pixels[:, :, 1:] if self.reach else ()


@serializable
class Gate(keras.layers.Layer):
    """tanh(a) sigmoid(b) of the two halves a and b of the channels (van den Oord et al., 2016, equation 2)."""

    pointwise = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        a, b = ops.split(x, 2, axis=-1)
        return ops.tanh(a) * ops.sigmoid(b)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)

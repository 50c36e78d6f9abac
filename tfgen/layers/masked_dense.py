"""Fully connected causal layers: values of an image are numbered 1 ... D in raster order, channels innermost.

Layers may have several sets of degrees, and so several masks over the same weights: a call names one by `which`. Each mask
may have its own order of pixels, in which its images and maps are arranged (Germain et al., 2015: order-agnostic training);
weights belong to pixels, so that a value has the same ones in each order.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.causal import CausalLayer
from tfgen.serialization import serializable


def numbers(image_shape, per_value=1):
    """Number of the value of each output of a map: int (H W, channels), of which channel i belongs to colour i mod C."""
    height, width, channels = image_shape
    colours = np.arange(per_value * channels) % channels
    return np.arange(height * width)[:, None] * channels + colours + 1


def sets_of(degrees):
    """Degrees of units as a list of sets, one per mask: int arrays (units,)."""
    return [np.array(one, int) for one in (degrees if isinstance(degrees[0], (list, tuple)) else [degrees])]


def places_of(orders, per_pixel):
    """Per order of pixels, where the `per_pixel` units of each pixel are found in raster order: [int32 (H W per_pixel,)]."""
    units = np.arange(per_pixel, dtype="int32")
    return orders and [(np.array(order, "int32")[:, None] * per_pixel + units).ravel() for order in orders]


def arranged(x, places, which, axis=0):
    """A tensor with its elements along `axis` in order number `which`; without orders, the tensor itself."""
    return ops.take(x, places[which], axis=axis) if places else ops.convert_to_tensor(x)


def masked(layer, which=0):
    """A layer's kernel in the order and under the mask number `which`."""
    kernel = arranged(arranged(layer.kernel, layer.rows, which), layer.columns, which, 1)
    return ops.cast(kernel * layer.masks[which], layer.compute_dtype)


def masked_rows(layer, first, count, which=0):
    """`count` rows of that kernel from row `first` (int32 scalar): (count, columns)."""
    mask = tf.slice(layer.masks[which], (first, 0), (count, layer.masks[which].shape[1]))
    if layer.rows:
        kernel = tf.gather(tf.convert_to_tensor(layer.kernel), tf.slice(layer.rows[which], (first,), (count,)))
    else:
        kernel = tf.slice(tf.convert_to_tensor(layer.kernel), (first, 0), mask.shape)
    return tf.cast(arranged(kernel, layer.columns, which, 1) * mask, layer.compute_dtype)


def _kernel(layer, inputs, outputs, name="kernel"):
    return layer.add_weight((inputs, outputs), "glorot_uniform", name=name)


def added(state, product):
    """A sampler's sums, in full precision, and the product of one more pixel: there are as many sums as pixels."""
    return state + tf.cast(product, state.dtype)


@serializable
class CausalDense(CausalLayer):
    """Image -> map, linear: output of value d = bias + sum over values e < d of weight x_e (Frey, 1998).

    Args:
        per_value: outputs per value; the map has C per_value channels, of which channel i belongs to colour i mod C.
        orders: None, or the order of pixels of each mask.
    """

    strict = True

    def __init__(self, per_value=1, orders=None, **kwargs):
        super().__init__(**kwargs)
        self.per_value = per_value
        self.orders = orders

    def build(self, input_shape):
        self.shape = tuple(input_shape[1:])
        self.pixels, self.outputs = self.shape[0] * self.shape[1], self.shape[2] * self.per_value
        number = numbers(self.shape, self.per_value).ravel()
        self.masks = [(np.arange(1, self.pixels * self.shape[2] + 1)[:, None] < number).astype("float32")]
        self.masks *= len(self.orders or [None])
        self.rows, self.columns = places_of(self.orders, self.shape[2]), places_of(self.orders, self.outputs)
        self.kernel = _kernel(self, *self.masks[0].shape)
        self.bias = self.add_weight((len(number),), "zeros", name="bias")

    def call(self, x, which=0):
        flat = ops.reshape(x, (-1, self.kernel.shape[0]))
        y = ops.matmul(flat, masked(self, which)) + ops.cast(arranged(self.bias, self.columns, which), x.dtype)
        return ops.reshape(y, (-1, *self.shape[:2], self.outputs))

    def start(self, batch):
        """Sums over the values so far, of all outputs, without the bias."""
        return tf.zeros((batch, self.kernel.shape[1]), self.variable_dtype)

    def step(self, x, state, at, which=0):
        pixel, channels = at[0] * self.shape[1] + at[1], self.shape[2]
        sums = added(state, tf.matmul(tf.reshape(x, (-1, channels)), masked_rows(self, pixel * channels, channels, which)))
        bias, first = tf.cast(arranged(self.bias, self.columns, which), sums.dtype), pixel * self.outputs
        here = sums[:, first:first + self.outputs] + bias[first:first + self.outputs]
        return tf.cast(tf.reshape(here, (-1, 1, 1, self.outputs)), x.dtype), sums

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] * self.per_value)


@serializable
class DenseFromImage(CausalLayer):
    """Image -> hidden units (B, units), linear: a unit of degree m takes the values 1 ... m (Germain et al., 2015, MADE).

    In the incremental form, units that take values which are not yet known are arbitrary: masks keep them from the outputs.

    Args:
        degrees: degree m of each unit, 1 to D - 1; or a list of such lists.
        orders: None, or the order of pixels of each mask.
    """

    strict = True
    columns = None

    def __init__(self, degrees, orders=None, **kwargs):
        super().__init__(**kwargs)
        self.degrees = list(degrees)
        self.orders = orders

    def build(self, input_shape):
        self.shape = tuple(input_shape[1:])
        size = int(np.prod(self.shape))
        low, high = (int(end([end(one) for one in sets_of(self.degrees)])) for end in (np.min, np.max))
        require(1 <= low and high < max(size, 2),
                f"DenseFromImage(degrees) expects degrees from 1 to {size - 1}, received {low} to {high}")
        self.masks = [(np.arange(1, size + 1)[:, None] <= one).astype("float32") for one in sets_of(self.degrees)]
        self.rows = places_of(self.orders, self.shape[2])
        self.kernel = _kernel(self, *self.masks[0].shape)
        self.bias = self.add_weight(self.kernel.shape[1:], "zeros", name="bias")

    def call(self, x, which=0):
        return ops.matmul(ops.reshape(x, (-1, self.kernel.shape[0])), masked(self, which)) + ops.cast(self.bias, x.dtype)

    def start(self, batch):
        return tf.tile(tf.cast(self.bias, self.variable_dtype)[None], (batch, 1))

    def step(self, x, state, at, which=0):
        first, channels = (at[0] * self.shape[1] + at[1]) * self.shape[2], self.shape[2]
        sums = added(state, tf.matmul(tf.reshape(x, (-1, channels)), masked_rows(self, first, channels, which)))
        return tf.cast(sums, x.dtype), sums


@serializable
class MaskedDense(keras.layers.Layer):
    """Hidden units -> hidden units, linear: a unit of degree m takes units of degrees up to m (Germain et al., 2015).

    Args:
        inputs: degree of each input; or a list of such lists.
        degrees: degree of each unit; or as many lists.
    """

    pointwise = True
    rows = columns = None

    def __init__(self, inputs, degrees, **kwargs):
        super().__init__(**kwargs)
        self.inputs = list(inputs)
        self.degrees = list(degrees)

    def build(self, input_shape):
        pairs = zip(sets_of(self.inputs), sets_of(self.degrees), strict=True)
        self.masks = [(inputs[:, None] <= degrees).astype("float32") for inputs, degrees in pairs]
        self.kernel = _kernel(self, *self.masks[0].shape)
        self.bias = self.add_weight(self.kernel.shape[1:], "zeros", name="bias")

    def call(self, x, which=0):
        return ops.matmul(x, masked(self, which)) + ops.cast(self.bias, x.dtype)


@serializable
class DenseToImage(CausalLayer):
    """Hidden units -> map, linear: an output of value d takes units of degrees below d (Germain et al., 2015).

    Args:
        inputs: degree of each input; or a list of such lists.
        image_shape: (H, W, C).
        per_value: outputs per value; the map has C per_value channels, of which channel i belongs to colour i mod C.
        orders: None, or the order of pixels of each mask.
    """

    columns = None

    def __init__(self, inputs, image_shape, per_value=1, orders=None, **kwargs):
        super().__init__(**kwargs)
        self.orders = orders
        self.inputs = list(inputs)
        self.image_shape = tuple(image_shape)
        self.per_value = per_value

    def build(self, input_shape):
        number = numbers(self.image_shape, self.per_value)
        self.outputs = number.shape[1]
        self.masks = [(inputs < number.ravel()[:, None]).astype("float32") for inputs in sets_of(self.inputs)]
        self.rows = places_of(self.orders, self.outputs)
        self.kernel = _kernel(self, *self.masks[0].shape)  # (H W outputs, units): those of a pixel are adjacent
        self.bias = self.add_weight((number.size,), "zeros", name="bias")

    def call(self, x, which=0):
        y = ops.matmul(x, ops.transpose(masked(self, which))) + ops.cast(arranged(self.bias, self.rows, which), x.dtype)
        return ops.reshape(y, (-1, *self.image_shape[:2], self.outputs))

    def step(self, x, state, at, which=0):
        first = (at[0] * self.image_shape[1] + at[1]) * self.outputs
        bias = tf.slice(tf.cast(arranged(self.bias, self.rows, which), x.dtype), (first,), (self.outputs,))
        y = tf.matmul(x, masked_rows(self, first, self.outputs, which), transpose_b=True) + bias
        return y[:, None, None], state

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.image_shape[:2], self.image_shape[2] * self.per_value)

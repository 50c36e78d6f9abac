"""Slices whose gradients are fast: their values, and that no layer of convolutions has the slow kind."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.layers.slices import sliced

LAYERS = {
    "vertical": lambda: layers.VerticalConv(3, 2, 1, 1, strict=True),
    "horizontal": lambda: layers.HorizontalConv(3, 2, strict=True),
    "vertical upsampling": lambda: layers.VerticalUpsampling(3), "pixel upsampling": lambda: layers.PixelUpsampling(3),
    "pixel shift": layers.PixelShift, "blur": layers.Blur,
    "doubling": lambda: layers.DoublingConv2D(3, 3, (8, 8))}


@pytest.mark.parametrize("axis, start, stop", [(1, 0, -1), (1, 1, 3), (2, 2, 5), (3, 0, 1)])
def test_parts_and_their_gradients_are_those_of_python_slices(axis, start, stop):
    x = tf.random.stateless_normal((2, 4, 5, 3), (1, 2))
    index = tuple([slice(None)] * axis + [slice(start, stop)])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, theirs = (tf.reduce_sum(part**3) for part in (sliced(x, axis, start, stop), x[index]))
    np.testing.assert_array_equal(sliced(x, axis, start, stop), x[index])
    np.testing.assert_array_equal(tape.gradient(ours, x), tape.gradient(theirs, x))


@pytest.mark.parametrize("name", LAYERS)
def test_no_gradient_of_a_convolution_is_that_of_a_python_slice(name):
    layer = LAYERS[name]()
    layer.build((None, 4, 4, 2))

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(total, x)

    graph = gradient.get_concrete_function(tf.TensorSpec((None, 4, 4, 2))).graph
    assert "StridedSliceGrad" not in {operation.type for operation in graph.get_operations()}

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import ReflectionPadding2D


@pytest.mark.parametrize(("size", "sides"), [(1, (4, 4)), (1, (5, 9)), (3, (8, 8)), (3, (16, 11)), (1, (2, 3)), (0, (4, 4))])
def test_reflection_padding_and_its_gradient_are_those_of_numpy_and_tensorflow(size, sides):
    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(size=(2, *sides, 3)).astype("float32"))
    pad = ((0, 0), (size, size), (size, size), (0, 0))
    weights = tf.constant(generator.normal(size=(2, sides[0] + 2 * size, sides[1] + 2 * size, 3)).astype("float32"))

    def gradients(padded):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = padded(x)
                value = tf.reduce_sum(weights * y**2)
            first = tape.gradient(value, x)
            second = tf.reduce_sum(first**2)
        return y, first, outer.gradient(second, x)

    layer = ReflectionPadding2D(size)
    found = gradients(layer)
    for ours, theirs in zip(found, gradients(lambda x: tf.pad(x, pad, "REFLECT"))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[0], np.pad(x, pad, "reflect"))
    assert layer.compute_output_shape(x.shape) == found[0].shape


def test_reflection_padding_of_unknown_sides_and_in_half_precision():
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")
    wanted = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    unknown = tf.function(ReflectionPadding2D(2), input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_array_equal(unknown(x), wanted)
    np.testing.assert_array_equal(ReflectionPadding2D(2, dtype="float16")(x), wanted.astype("float16"))

"""Doubling and convolution in one step, beside the two steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import DoublingConv2D, EqualisedDoublingConv2D, SpectralDoublingConv2D
from tfgen.layers.doubling import double

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("grid", [(6, 8), (5, 8), (5, 7)])
def test_it_is_a_doubling_and_a_convolution_with_its_gradients(kernel, grid):
    x = tf.constant(RNG.normal(size=(2, 3, 4, 5)), tf.float32)
    ours, theirs = DoublingConv2D(6, kernel, grid, activation="tanh"), keras.layers.Conv2D(6, kernel, padding="same")
    ours.build(x.shape)
    theirs.build((None, *grid, 5))
    ours.bias.assign(RNG.normal(size=6))
    theirs.set_weights(ours.get_weights())
    found = []
    for of, weights in ((ours, ours.weights), (lambda x: tf.tanh(theirs(double(x, grid))), theirs.weights)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = of(x)
            loss = tf.reduce_sum(tf.sin(2.0 * made))
        found.append((made, *tape.gradient(loss, [x, *weights])))
    for our, their in zip(*found, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [SpectralDoublingConv2D, EqualisedDoublingConv2D])
def test_the_kernel_is_the_effective_one(layer):
    x = tf.constant(RNG.normal(size=(2, 3, 3, 4)), tf.float32)
    made = layer(5, 3, (6, 6))
    found = made(x)
    kernel = made.effective(tf.convert_to_tensor(made.weights[0]), False)
    np.testing.assert_allclose(found, tf.nn.conv2d(double(x, (6, 6)), kernel, 1, "SAME"), rtol=1e-4, atol=1e-5)


def test_it_is_saved_with_its_grid(tmp_path):
    image = keras.Input((3, 3, 2))
    model = keras.Model(image, DoublingConv2D(4, 3, (5, 6), use_bias=False, activation="tanh")(image))
    assert model.output_shape == (None, 5, 6, 4)
    model.save(tmp_path / "model.keras")
    x = RNG.normal(size=(1, 3, 3, 2)).astype("float32")
    found = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(found(x), model(x))
    assert found.layers[-1].get_config() == model.layers[-1].get_config() and not found.layers[-1].use_bias

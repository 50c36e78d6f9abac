"""Convolution and halving in one step, beside the two steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import EqualisedHalvingConv2D, HalvingConv2D
from tfgen.networks.grids import halve

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("grid", [(6, 8), (5, 8), (5, 7)])
def test_it_is_a_convolution_and_a_halving_with_its_gradients(kernel, grid):
    x = tf.constant(RNG.normal(size=(2, *grid, 5)), tf.float32)
    ours, theirs = HalvingConv2D(6, kernel, activation="tanh"), keras.layers.Conv2D(6, kernel, padding="same")
    ours.build(x.shape)
    theirs.build(x.shape)
    ours.bias.assign(RNG.normal(size=6))
    theirs.set_weights(ours.get_weights())
    found = []
    for of, weights in ((ours, ours.weights), (lambda x: tf.tanh(halve(theirs(x))), theirs.weights)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = of(x)
            loss = tf.reduce_sum(tf.sin(2.0 * made))
        found.append((made, *tape.gradient(loss, [x, *weights])))
    assert ours.compute_output_shape(x.shape) == made.shape
    for our, their in zip(*found, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)


def test_the_kernel_is_the_effective_one():
    x = tf.constant(RNG.normal(size=(2, 6, 6, 4)), tf.float32)
    made = EqualisedHalvingConv2D(5, 3)
    found = made(x)
    kernel = made.effective(tf.convert_to_tensor(made.weights[0]), False)
    np.testing.assert_allclose(found, halve(tf.nn.conv2d(x, kernel, 1, "SAME")), rtol=1e-4, atol=1e-5)


def test_it_is_saved(tmp_path):
    image = keras.Input((6, 5, 2))
    model = keras.Model(image, HalvingConv2D(4, 3, use_bias=False, activation="tanh")(image))
    assert model.output_shape == (None, 3, 3, 4)
    model.save(tmp_path / "model.keras")
    x = RNG.normal(size=(1, 6, 5, 2)).astype("float32")
    found = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(found(x), model(x))
    assert found.layers[-1].get_config() == model.layers[-1].get_config() and not found.layers[-1].use_bias

"""Transposed convolutions of few channels, beside Keras' operation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import Conv2DTranspose

RNG = np.random.default_rng(0)


def pair(filters, **options):
    """Our layer and Keras' with the same weights."""
    options = {"padding": "same", "activation": "tanh"} | options
    made = [kind(filters, 4, strides=2, **options) for kind in (Conv2DTranspose, keras.layers.Conv2DTranspose)]
    for layer in made:
        layer.build((None, 3, 5, 6))
        layer.set_weights([0.3 * RNG.normal(size=w.shape) for w in layer.weights])
    made[1].set_weights(made[0].get_weights())
    return made


@pytest.mark.parametrize("filters, bias", [(1, True), (3, False), (4, True), (5, True)])
def test_training_is_that_of_keras_to_second_order(filters, bias):
    ours, theirs = pair(filters, use_bias=bias)
    x, found = tf.constant(RNG.normal(size=(2, 3, 5, 6)), tf.float32), []
    for layer, options in ((ours, {"training": True}), (theirs, {})):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                made = layer(x, **options)
                loss = tf.reduce_sum(tf.sin(2.0 * made))
            first = tape.gradient(loss, [x, *layer.trainable_weights])
            total = sum(tf.reduce_sum(gradient**2) for gradient in first)
        found.append((made, *first, outer.gradient(total, x)))
    assert found[0][0].shape == (2, 6, 10, filters)
    for our, their in zip(*found, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)


def test_inference_is_the_operation_of_keras():
    ours, theirs = pair(1)
    x = RNG.normal(size=(2, 3, 5, 6)).astype("float32")
    np.testing.assert_array_equal(ours(x), theirs(x))
    assert operations(ours, False).isdisjoint({"MatMul"}) and "Conv2DBackpropInput" in operations(ours, False)


@pytest.mark.parametrize("options, few", [({}, True), ({"padding": "valid"}, False)])
def test_few_channels_train_by_a_product(options, few):
    found = operations(pair(1, **options)[0], True)
    assert ("Conv2DBackpropInput" in found) is not few and ("MatMul" in found) is few


def operations(layer, training):
    """Types of operations of a layer."""
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.TensorSpec((None, 3, 5, 6))).graph
    return {operation.type for operation in graph.get_operations()}


def test_a_network_is_saved_with_it_and_one_of_before_opens(tmp_path):
    image = keras.Input((3, 5, 6))
    x = RNG.normal(size=(2, 3, 5, 6)).astype("float32")
    for layer in pair(1):
        model = keras.Model(image, layer(image))
        model.save(tmp_path / "model.keras")
        found = keras.models.load_model(tmp_path / "model.keras")
        assert type(found.layers[-1]) is type(layer) and found.layers[-1].get_config() == layer.get_config()
        np.testing.assert_array_equal(found(x), model(x))
    assert Conv2DTranspose(1, 4).name.startswith("conv2d_transpose")

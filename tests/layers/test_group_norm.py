"""Group normalisation and sinusoids, beside Keras and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import GroupNorm, PixelNorm, Sinusoids

RNG = np.random.default_rng(0)


def test_group_norm_is_that_of_keras_with_its_gradients():
    x = tf.constant(RNG.normal(1.0, 2.0, (3, 5, 4, 12)), tf.float32)
    ours, theirs, weights = GroupNorm(3), keras.layers.GroupNormalization(3, epsilon=1e-5), RNG.normal(size=(2, 12))
    found = []
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.gamma.assign(weights[0])
        layer.beta.assign(weights[1])
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = layer(x)
            loss = tf.reduce_sum(tf.sin(made))
        found.append((made, *tape.gradient(loss, [x, layer.gamma, layer.beta])))
    for our, their in zip(*found, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4)


def test_half_precision_keeps_what_varies_little():
    """Values and gradient of gamma, of groups whose mean is ten standard deviations; beside float64 of the same features."""
    x = tf.cast(RNG.normal(10.0, 1.0, (2, 12, 12, 8)), tf.bfloat16)
    layer = GroupNorm(1, dtype="mixed_bfloat16")
    layer.build(x.shape)
    weights = tf.cast(RNG.normal(size=x.shape), tf.bfloat16)
    with tf.GradientTape() as tape:
        made = layer(x)
        loss = tf.reduce_sum(tf.cast(made, tf.float32) * tf.cast(weights, tf.float32))
    exact = x.numpy().astype(float)
    exact = (exact - exact.mean((1, 2, 3), keepdims=True)) / np.sqrt(exact.var((1, 2, 3), keepdims=True) + 1e-5)
    assert made.dtype == tf.bfloat16
    np.testing.assert_allclose(made.numpy().astype(float), exact, rtol=2**-8, atol=1e-3)
    wanted = (exact * weights.numpy().astype(float)).sum((0, 1, 2))
    np.testing.assert_allclose(tape.gradient(loss, layer.gamma), wanted, rtol=0.01, atol=0.05)


@pytest.mark.parametrize("layer", [GroupNorm(2), PixelNorm()], ids=["group", "pixel"])
def test_an_image_is_normalised_alike_at_each_place_of_a_batch(layer):
    """To the bit: TensorFlow's `rsqrt` rounds the last few of a tensor's values otherwise than those before."""
    for x in RNG.normal(size=(20, 1, 1, 1, 4)).astype("float32"):
        made = np.asarray(layer(np.repeat(x, 37, axis=0)))
        np.testing.assert_array_equal(made, np.repeat(made[:1], 37, axis=0))


def test_scale_and_shift_follow_the_normalisation():
    x, modulation = RNG.normal(size=(2, 3, 3, 4)).astype("float32"), RNG.normal(size=(2, 8)).astype("float32")
    layer = GroupNorm(2)
    scale, shift = (part[:, None, None] for part in np.split(modulation, 2, -1))
    np.testing.assert_allclose(layer(x, modulation), layer(x).numpy() * (1 + scale) + shift, rtol=1e-5, atol=1e-5)


def test_sinusoids_have_geometric_frequencies():
    t = np.array([0.0, -1.2, 3.0], "float32")
    frequencies = 0.5 * 200.0 ** (np.arange(4) / 3)
    wanted = np.concatenate([np.cos(t[:, None] * frequencies), np.sin(t[:, None] * frequencies)], -1)
    np.testing.assert_allclose(Sinusoids(8, 0.5, 100.0)(t), wanted, atol=1e-4)

"""Jacobian norms against `batch_jacobian` in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.losses import penalties
from tfgen.networks import mlp


def float64_norm(encoder, x):
    x = tf.constant(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        h = tf.reshape(x, (len(x), -1))
        for layer in encoder.layers:
            if isinstance(layer, keras.layers.Dense):
                h = layer.activation(h @ tf.cast(layer.kernel.value, tf.float64)
                                     + tf.cast(layer.bias.value, tf.float64))
    return tf.reduce_sum(tf.square(tape.batch_jacobian(h, x)), axis=(1, 2, 3, 4)).numpy()


@pytest.fixture
def x():
    return np.random.default_rng(0).uniform(size=(5, 4, 4, 1)).astype("float32")


def test_closed_form(x):
    encoder = mlp.encoder((4, 4, 1), [], 7, output_activation="sigmoid")
    penalty = penalties.Contractive(0.5)
    assert penalties.sigmoid_layer(encoder) is not None
    wanted = float64_norm(encoder, x)
    np.testing.assert_allclose(penalties.sigmoid_jacobian_norm(encoder(x), encoder.layers[-1].kernel), wanted, rtol=1e-5)
    assert float(penalty(encoder, x, encoder(x))) == pytest.approx(0.5 * wanted.mean(), rel=1e-5)


def test_exact_and_hutchinson_for_a_deep_encoder(x):
    encoder = mlp.encoder((4, 4, 1), [6], 7, "tanh", "sigmoid")
    assert penalties.sigmoid_layer(encoder) is None
    wanted = float64_norm(encoder, x)
    x = tf.constant(x)
    np.testing.assert_allclose(penalties.jacobian_norm(encoder, x), wanted, rtol=1e-4)
    assert float(penalties.Contractive(2.0, probes=None)(encoder, x, encoder(x))) == pytest.approx(
        2 * wanted.mean(), rel=1e-4)
    many = tf.repeat(x, 20_000, axis=0)
    estimate = penalties.hutchinson_jacobian_norm(encoder, many, [keras.random.uniform((len(many), 7), seed=0)])
    np.testing.assert_allclose(tf.reduce_mean(tf.reshape(estimate, (5, -1)), 1), wanted, rtol=0.03)
    # In evaluation the signs are those of the seeds.
    penalty = penalties.Contractive(2.0, probes=3)
    found = [float(penalty.seeded(encoder, many, encoder(many), start + tf.range(len(many), dtype="int64")))
             for start in (0, 0, 1)]
    assert found[0] == found[1] != found[2] and found[0] == pytest.approx(2 * wanted.mean(), rel=0.02)


def test_gradients_flow_to_the_weights(x):
    for hidden in ([], [6]):
        encoder = mlp.encoder((4, 4, 1), hidden, 7, "tanh", "sigmoid")
        with tf.GradientTape() as tape:
            value = penalties.Contractive(1.0)(encoder, tf.constant(x), encoder(x))
        gradients = tape.gradient(value, encoder.trainable_variables)
        assert float(tf.norm(gradients[0])) > 0


def test_sparsity():
    codes = tf.constant([[0.2, 0.05], [0.4, 0.05]])
    wanted = 2.0 * (0.05 * np.log(0.05 / 0.3) + 0.95 * np.log(0.95 / 0.7))
    assert float(penalties.KLSparsity(0.05, 2.0)(None, None, codes)) == pytest.approx(wanted, rel=1e-4)
    assert float(penalties.L1Sparsity(2.0)(None, None, codes)) == pytest.approx(2.0 * 0.7 / 2, rel=1e-5)
    with pytest.raises(ValueError, match="rho"):
        penalties.KLSparsity(0.0)

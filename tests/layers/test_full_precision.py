"""What half precision has no room for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import FourierFeatures, FullPrecisionDense, FullPrecisionSoftmax, GroupNorm, SpectralDense
from tfgen.networks.mlp import standardised
from tfgen.runs.regime import Regime
from tfgen.serialization import computing_in


@pytest.mark.parametrize("trained", ["float32", "bfloat16"])
def test_rows_in_their_own_units_are_standardised_in_float32(trained):
    """Years of a table, trained and exported in either precision."""
    years = np.arange(1950.0, 2030.0, dtype="float32")[:, None]
    with Regime(precision=trained).building():
        inputs = keras.Input((1,))
        model = keras.Model(inputs, standardised(inputs, [1990.0], [23.0]))
    for network in (model, computing_in(model, "mixed_bfloat16"), computing_in(model, "float32")):
        np.testing.assert_allclose(network(years), (years - 1990.0) / 23.0, atol=1e-6)


@pytest.mark.parametrize("build", [lambda: FourierFeatures(8, "normal"), lambda: FullPrecisionDense(8, activation="relu")])
def test_few_coordinates_are_not_multiplied_as_matrices(build):
    """A matrix product on a GPU may have 10 bits."""
    layer = build()
    layer.build((None, 3))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    angles = x.astype(float) @ layer.kernel.numpy()
    wanted = (np.concatenate([np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)], -1)
              if isinstance(layer, FourierFeatures) else np.maximum(angles, 0))
    np.testing.assert_allclose(layer(x), wanted, atol=1e-5)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 3))).graph
    assert "MatMul" not in {operation.type for operation in graph.get_operations()}


def test_weights_of_a_sum_are_rounded_once():
    scores = tf.cast(np.random.default_rng(0).normal(0.0, 2.0, (64, 400)), tf.bfloat16)
    made = FullPrecisionSoftmax(dtype="mixed_bfloat16")(scores)
    exact = np.exp(scores.numpy().astype(float))
    exact /= exact.sum(-1, keepdims=True)
    assert made.dtype == tf.bfloat16
    np.testing.assert_allclose(made.numpy().astype(float), exact, rtol=2**-8)


def test_a_gain_near_1_is_not_rounded_before_it_multiplies():
    """bfloat16 has no number between 1 and 1.0078."""
    x = tf.cast(np.random.default_rng(0).normal(size=(16, 12, 12, 8)), tf.bfloat16)
    layer = GroupNorm(2, dtype="mixed_bfloat16")
    before = layer(x).numpy().astype(float)
    layer.gamma.assign(np.full(8, 1.003))
    assert np.abs(layer(x).numpy().astype(float)).sum() / np.abs(before).sum() == pytest.approx(1.003, abs=5e-4)


def test_a_spectral_kernel_has_its_norm_in_half_precision():
    """The power iteration's vectors have 400 values, whose norm half precision does not resolve."""
    layer = SpectralDense(400, dtype="mixed_bfloat16")
    x = tf.zeros((1, 300), tf.bfloat16)
    layer(x)
    # Few singular values, so that the iteration has converged.
    rng = np.random.default_rng(0)
    layer._kernel.assign(rng.normal(size=(300, 2)) @ (np.diag([3.0, 1.0]) @ rng.normal(size=(2, 400))))
    for _ in range(20):
        layer(x, training=True)
    assert np.linalg.norm(layer.u) == pytest.approx(1.0, abs=1e-5)
    rounded = tf.cast(tf.cast(layer._kernel, tf.bfloat16), tf.float32)
    norm = np.linalg.svd(layer.effective(rounded, False), compute_uv=False)[0]
    assert norm == pytest.approx(1.0, abs=1e-4)

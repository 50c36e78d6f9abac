"""What half precision has no room for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import FourierFeatures, FullPrecisionDense
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

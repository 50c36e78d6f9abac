"""What half precision has no room for."""

import keras
import numpy as np
import pytest

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

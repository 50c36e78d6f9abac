"""Fourier features of coordinates."""

import keras
import numpy as np
import pytest

from tfgen.layers import AxisFrequencies, FourierFeatures, Sine, positional_encoding
from tfgen.runs.regime import Regime


def test_positional_encoding_is_the_coordinates_and_sines_of_octaves():
    x = np.array([[0.3, -2.0, 1.5]], np.float32)
    octaves = np.array([1.0, 2.0, 4.0])
    angles = (x[0, :, None] * octaves).ravel()
    made = positional_encoding(3, 3)(x).numpy()
    np.testing.assert_allclose(made, [[*x[0], *np.cos(angles), *np.sin(angles)]], atol=1e-5)


def test_layers_come_back_from_a_file(tmp_path):
    inputs = keras.Input((2,))
    x = FourierFeatures(6, keras.initializers.RandomNormal(stddev=3.0))(inputs)
    x = Sine(2.0)(FourierFeatures(x.shape[-1] * 2, AxisFrequencies([0.5, 2.0]), keep_input=True)(x))
    model = keras.Model(inputs, x)
    model.save(tmp_path / "model.keras")
    places = np.random.default_rng(0).uniform(size=(4, 2)).astype("float32")
    wanted = model.predict(places, verbose=0)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").predict(places, verbose=0), wanted)
    assert wanted.shape == model.output_shape[:0] + (4, 60)


@pytest.mark.parametrize("encoded", [
    lambda: FourierFeatures(16, keras.initializers.RandomNormal(stddev=10.0, seed=1)), lambda: positional_encoding(2, 10),
    lambda: Sine(30.0)], ids=["gaussian", "positional", "sine"])
def test_angles_of_mixed_precision_are_those_of_float32(encoded):
    """The angles of neighbouring pixels differ by less than half precision tells apart."""
    places = np.linspace(-1.0, 1.0, 2 * 512, dtype="float32").reshape(-1, 2)
    with Regime(precision="bfloat16").building():
        inputs = keras.Input((2,))
        mixed = keras.Model(inputs, encoded()(inputs))
    np.testing.assert_allclose(mixed(places), encoded()(places), atol=1e-6)

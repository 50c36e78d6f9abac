"""Networks of coordinates: the start of SIREN, its derivatives, encodings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.losses import Gradient, Laplacian
from tfgen.networks import siren
from tfgen.runs.regime import Regime
from tfgen.serialization import computing_in


@pytest.fixture
def double():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(before)


def test_arguments_of_sines_keep_about_unit_variance_with_depth():
    """v_1 = 1 after sines of wide phases, then v = 2 E sin^2(N(0, v)) = 1 - exp(-2 v), whose fixed point is 0.797."""
    depth = 8
    network = siren.siren(2, [512] * (depth + 1), 1)
    arguments = [30.0 * network.get_layer(f"dense_{layer}").output for layer in range(1, depth + 1)]
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype("float32")
    wanted = 1.0
    for values in keras.Model(network.inputs, arguments).predict(x, verbose=0, batch_size=2000):
        assert values.mean() == pytest.approx(0.0, abs=0.1) and values.var() == pytest.approx(wanted, rel=0.08)
        wanted = 1.0 - np.exp(-2.0 * wanted)
    assert wanted == pytest.approx(0.797, abs=0.001)


def test_initial_bounds_are_the_papers():
    network = siren.siren(3, [64, 64], 2, first_w0=10.0, w0=5.0)
    first, hidden, last = (network.get_layer(name) for name in ("first", "dense_1", "last"))
    for kernel, bound in ((first.kernel, 1 / 3), (hidden.kernel, np.sqrt(6 / 64) / 5), (last.kernel, np.sqrt(6 / 64) / 5)):
        assert 0.9 * bound < np.abs(kernel.numpy()).max() <= bound
    assert [layer.w0 for layer in network.layers if layer.name.startswith("sine")] == [10.0, 5.0]


def test_derivatives_are_those_of_finite_differences(double):
    network = siren.siren(2, [16, 16], 2, first_w0=3.0, w0=3.0)

    def field(x):
        return network(x, training=False)

    x, h = np.random.default_rng(1).uniform(-1, 1, (5, 2)), 1e-4
    steps = h * np.eye(2)
    y, up, down = field(x).numpy(), *([field(x + sign * step).numpy() for step in steps] for sign in (1, -1))
    slopes = np.stack([(a - b) / (2 * h) for a, b in zip(up, down)], -1)  # (B, C, D)
    assert y.dtype == np.float64
    np.testing.assert_allclose(Gradient()(field, tf.constant(x)), slopes.reshape(5, 4), rtol=1e-6, atol=1e-7)
    bends = sum((a - 2 * y + b) / h**2 for a, b in zip(up, down))
    np.testing.assert_allclose(Laplacian()(field, tf.constant(x)), bends, rtol=1e-5, atol=1e-5)


def test_a_loss_on_gradients_reaches_the_weights():
    network = siren.siren(2, [8], 1, constant=False)
    x = tf.constant(np.random.default_rng(1).uniform(-1, 1, (4, 2)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(Laplacian()(lambda at: network(at), x)))
    found = tape.gradient(loss, network.trainable_variables)
    assert len(found) == 3 and all(np.abs(part.numpy()).max() > 0 for part in found)


def test_encodings_give_features_of_their_frequencies():
    x = np.array([[-1.0, 0.5], [0.25, 1.0]], np.float32)
    v = (x + 1.0) / 2.0
    for encoding, features, scale, frequencies in (
            ("basic", 8, 1.0, np.eye(2)), ("positional", 4, 9.0, [[1, 3, 0, 0], [0, 0, 1, 3]]), ("gaussian", 6, 2.0, None)):
        network = siren.relu(2, [4], 3, encoding, features, scale)
        layer = next(layer for layer in network.layers if type(layer).__name__ == "FourierFeatures")
        kernel = layer.kernel.numpy()
        if frequencies is not None:
            np.testing.assert_allclose(kernel, frequencies, rtol=1e-6)
        angles = 2 * np.pi * v @ kernel
        made = keras.Model(network.inputs, layer.output).predict(x, verbose=0)
        np.testing.assert_allclose(made, np.concatenate([np.cos(angles), np.sin(angles)], -1), atol=1e-5)
        assert not layer.trainable_variables
    wide = siren.relu(2, [4], 3, "gaussian", 4096, 7.0).layers
    assert np.std(next(layer for layer in wide if hasattr(layer, "frequencies")).kernel) == pytest.approx(7.0, rel=0.05)
    assert not any(hasattr(layer, "frequencies") for layer in siren.relu(2, [4], 1, "none").layers)


@pytest.mark.parametrize("build", [
    lambda: siren.siren(1, [16, 16], 1, first_w0=3000.0), lambda: siren.relu(1, [16, 16], 1, "none"),
    lambda: siren.relu(1, [16, 16], 1, "gaussian", 16, 100.0)], ids=["sine", "none", "gaussian"])
def test_neighbouring_coordinates_stay_apart_in_mixed_precision(build):
    """A second of sound has tens of thousands of samples, of which half precision tells some hundreds apart."""
    places = np.linspace(0.5, 1.0, 4096, dtype="float32")[:, None]
    with Regime(precision="bfloat16").building():
        trained = build()
    exact = computing_in(trained, "float32")
    exported = computing_in(exact, "mixed_bfloat16")
    assert trained.layers[3].compute_dtype == exported.layers[3].compute_dtype == "bfloat16"
    assert exact.layers[3].compute_dtype == "float32"
    trained, exact, exported = (keras.Model(network.inputs, network.layers[2].output)(places).numpy()
                                for network in (trained, exact, exported))
    assert len(np.unique(exported, axis=0)) == len(places)
    np.testing.assert_allclose(trained, exact, atol=1e-6)
    np.testing.assert_array_equal(exported, trained)


def test_radiance_has_density_of_the_position_alone():
    network = siren.radiance(8, 4, channels=2, position_frequencies=2, direction_frequencies=1)
    random = np.random.default_rng(0)
    position, directions = np.repeat(random.normal(size=(1, 3)), 5, 0), random.normal(size=(5, 3))
    colour, density = network.predict([position.astype("f4"), directions.astype("f4")], verbose=0)
    assert colour.shape == (5, 2) and density.shape == (5, 1) and (density >= 0).all()
    assert np.ptp(density) == 0 and np.ptp(colour, axis=0).min() > 1e-4

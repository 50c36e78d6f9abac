"""PaDiM and its Gaussians against float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images

from tfgen import PaDiM, frozen
from tfgen.layers import CodeDistance, FeatureGaussians
from tfgen.layers.differences import blurred

X = images(12)
RNG = np.random.default_rng(0)


def network(channels=(3, 4)):
    """Maps of 4x4 and 2x2 for images (8, 8, 1), and probabilities of four turns."""
    inputs = keras.Input((8, 8, 1))
    maps = [keras.layers.Conv2D(channels[0], 2, 2, activation="tanh")(inputs)]
    maps.append(keras.layers.Conv2D(channels[1], 2, 2, activation="tanh")(maps[0]))
    return keras.Model(inputs, [*maps, keras.layers.Dense(4, "softmax")(keras.layers.Flatten()(maps[1]))])


def fit(model, batches):
    model.fit(tf.data.Dataset.from_tensor_slices(np.stack(batches)), verbose=0)


def distances(usual, features, floor_share=0.01):
    """float64 (N, P) by NumPy, of features (N, P, d) from Gaussians of `usual` (M, P, d)."""
    usual, features = usual.astype(float), features.astype(float)
    covariances = [np.cov(usual[:, p], rowvar=False, bias=True) for p in range(usual.shape[1])]
    floor = floor_share * np.mean([np.trace(c) for c in covariances]) / usual.shape[2] + 1e-6
    found = []
    for p, covariance in enumerate(covariances):
        away = features[:, p] - usual[:, p].mean(0)
        precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
        found.append(np.sqrt(np.einsum("ni,ij,nj->n", away, precision, away)))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cuts", [[], [1, 12], [7, 8, 20]])
def test_gaussians_are_those_of_numpy_in_any_partition(shared, cuts):
    usual = (RNG.normal(size=(30, 5, 3)) @ RNG.normal(size=(3, 3)) + 4.0).astype("float32")
    features = RNG.normal(4.0, 2.0, (6, 5, 3)).astype("float32")
    layer = FeatureGaussians(5, 3, shared)
    for part in np.split(usual, cuts):
        layer.update(part)
    if shared:
        wanted = distances(usual.reshape(-1, 1, 3), features.reshape(-1, 1, 3)).reshape(6, 5)
    else:
        wanted = distances(usual, features)
    np.testing.assert_allclose(layer(features), wanted, rtol=2e-3)
    assert float(layer.count) == (150 if shared else 30)


def test_shrinkage_is_a_share_of_the_mean_variance():
    layer = FeatureGaussians(1, 2, shrinkage=0.5)
    layer.update(np.array([[[1.0, 0.0]], [[-1.0, 0.0]]]))
    # Variances 1 and 0, so that a half of their mean is a quarter.
    np.testing.assert_allclose(layer(np.array([[[1.0, 1.0]]])), np.sqrt(1 / 1.25 + 1 / 0.25), rtol=1e-4)


def test_the_network_learns_first_and_then_its_features_are_gathered():
    model = PaDiM(network(), network_steps=2)
    model.compile(keras.optimizers.Adam(0.01))
    before = [v.numpy() for v in model.network.weights]
    fit(model, [X, X])
    learnt = [v.numpy() for v in model.network.weights]
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, learnt)) and float(model.gaussians.count) == 0
    assert int(model.optimizer.iterations) == 2
    fit(model, [X[:6], X[6:]])
    for variable, value in zip(model.network.weights, learnt):
        np.testing.assert_array_equal(variable, value)
    assert int(model.optimizer.iterations) == 4 and float(model.gaussians.count) == 12
    usual = model.features(X).numpy()
    np.testing.assert_allclose(model.gaussians.mean, usual.mean(0), atol=1e-5)


def test_features_are_those_of_all_maps_and_the_map_is_enlarged():
    model = PaDiM(network(), chosen=[0, 4, 6], blur=0.7, top=0.25)
    first, second, _ = (one.numpy() for one in model.network(X))
    whole = np.concatenate([first, second.repeat(2, 1).repeat(2, 2)], axis=-1)  # (12, 4, 4, 7)
    features = model.features(X).numpy()
    np.testing.assert_allclose(features, whole.reshape(12, 16, 7)[:, :, [0, 4, 6]], atol=1e-6)
    model.gaussians.update(features)
    wanted = distances(features, features).reshape(12, 4, 4, 1)
    maps = blurred(tf.image.resize(wanted.astype("float32"), (8, 8))[..., 0], 0.7).numpy()
    np.testing.assert_allclose(model.anomaly_map(X), maps, rtol=5e-3)
    np.testing.assert_allclose(model.score(X), np.sort(maps.reshape(12, -1))[:, -16:].mean(1), rtol=5e-3)


def test_features_are_averaged_over_their_neighbours_within_the_map():
    model = PaDiM(network(), patch=3)
    first, second, _ = (one.numpy() for one in model.network(X))

    def averaged(maps):
        height, width = maps.shape[1:3]
        near = [maps[:, max(0, i - 1):i + 2, max(0, j - 1):j + 2].mean((1, 2)) for i in range(height) for j in range(width)]
        return np.stack(near, axis=1).reshape(maps.shape)

    whole = np.concatenate([averaged(first), averaged(second).repeat(2, 1).repeat(2, 2)], axis=-1)
    np.testing.assert_allclose(model.features(X), whole.reshape(12, 16, 7), atol=1e-6)


def test_what_is_unusual_at_its_position_stands_out_there():
    model = PaDiM(network(), network_steps=1)
    model.compile(keras.optimizers.Adam(1e-3))
    normal = RNG.uniform(0.4, 0.6, (200, 8, 8, 1)).astype("float32")
    fit(model, [normal] * 2)
    strange = normal[:50].copy()
    strange[:, 4:6, 4:6] = 0.0
    maps = model.anomaly_map(strange).numpy()
    peaks = np.stack(np.unravel_index(maps.reshape(50, -1).argmax(1), (8, 8)), axis=1)
    assert np.mean((peaks >= 3) & (peaks <= 6)) > 0.9
    assert model.score(strange).numpy().min() > np.quantile(model.score(normal), 0.99)


def test_a_network_that_was_trained_before_rests_from_the_first_step():
    ours = network()
    model = PaDiM(keras.Model(ours.input, ours.outputs[:-1], trainable=False), network_steps=0)
    model.compile(keras.optimizers.SGD())
    before = [v.numpy() for v in ours.weights]
    fit(model, [X[:6], X[6:]])
    for variable, value in zip(ours.weights, before):
        np.testing.assert_array_equal(variable, value)
    assert float(model.gaussians.count) == 12 and int(model.optimizer.iterations) == 2
    np.testing.assert_allclose(model.gaussians.mean, model.features(X).numpy().mean(0), atol=1e-5)
    assert set(model.evaluate(X, verbose=0, return_dict=True)) == {"loss", "stage"}


def test_a_network_may_have_one_map():
    ours = network()
    model = PaDiM(keras.Model(ours.input, ours.outputs[1]), network_steps=0)
    np.testing.assert_allclose(model.features(X), np.reshape(ours(X)[1], (12, 4, 4)), atol=1e-6)


@pytest.mark.parametrize("about, match", [
    ({"chosen": [7]}, "7 features, received"), ({"chosen": []}, "received"), ({"network_steps": -1}, "network_steps >= 0"),
    ({"network_steps": 0}, r"maps \(h, w, c\), it gives"),
    ({"shrinkage": 0.0}, "shrinkage > 0"), ({"patch": 0}, "patch >= 1")])
def test_what_is_refused(about, match):
    with pytest.raises(ValueError, match=match):
        PaDiM(network(), **about)
    inputs = keras.Input((8, 8, 1))
    with pytest.raises(ValueError, match="4 probabilities, it gives"):
        PaDiM(keras.Model(inputs, keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize("layer, features", [
    (FeatureGaussians(4, 3), RNG.normal(size=(30, 4, 3))),
    (FeatureGaussians(4, 3, shared=True), RNG.normal(size=(30, 4, 3))),
    (CodeDistance(5), RNG.normal(size=(30, 5)))])
def test_graphs_of_frozen_weights_solve_no_systems(layer, features):
    """Edge runtimes cannot; the distances are the same."""
    features = tf.constant(features, tf.float32)
    layer.update(features)
    with frozen.weights():
        graph = tf.function(layer.__call__).get_concrete_function(features)
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert not kinds & {"Cholesky", "MatrixTriangularSolve", "MatrixInverse"}
    np.testing.assert_allclose(graph(features).numpy(), layer(features).numpy(), rtol=1e-4)

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny
from scipy import ndimage

from tfgen import anomaly, calibration, data, export, verbs
from tfgen.anomaly import CodeDistance, RunningMean, SquaredError, StandardisedError

RNG = np.random.default_rng(0)
X, MADE = RNG.uniform(size=(2, 5, 8, 9, 3)).astype("float32")


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_blur_is_a_normalised_gaussian(sigma):
    maps = RNG.uniform(size=(2, 8, 9)).astype("float32")
    radius = int(np.ceil(3 * sigma))

    def smooth(x):
        return ndimage.gaussian_filter(x, (0, sigma, sigma), mode="constant", radius=(0, radius, radius))

    np.testing.assert_allclose(anomaly.blurred(maps, sigma), smooth(maps) / smooth(np.ones_like(maps)), rtol=1e-5)
    np.testing.assert_array_equal(anomaly.blurred(maps, 0.0), maps)


def test_squared_error_is_pooled_by_mean_or_peak():
    error = np.square(X - MADE).mean(-1)
    maps = SquaredError()(X, MADE)
    np.testing.assert_allclose(maps, error, rtol=1e-5)
    np.testing.assert_allclose(SquaredError().pool(maps), error.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(SquaredError(peak=True).pool(maps), error.max((1, 2)), rtol=1e-5)


def test_running_mean_is_plain_at_first_and_forgets_later():
    average = RunningMean((2,), rate=0.25)
    values = RNG.normal(size=(9, 2)).astype("float32")
    for value in values[:4]:
        average.update(value)
    np.testing.assert_allclose(average.average, values[:4].mean(0), rtol=1e-5)
    wanted = values[:4].mean(0)
    for value in values[4:]:
        average.update(value)
        wanted = 0.75 * wanted + 0.25 * value
    np.testing.assert_allclose(average.average, wanted, rtol=1e-4)


def test_standardised_error_has_mean_one_over_what_it_saw():
    difference = StandardisedError(X.shape[1:], floor=1e-6)
    difference.update(X, MADE)
    maps = difference(X, MADE)
    np.testing.assert_allclose(np.mean(maps, axis=0), 1.0, rtol=1e-3)
    usual = np.square(X - MADE).mean(0)
    np.testing.assert_allclose(maps, ((np.square(X - MADE) + 1e-6) / (usual + 1e-6)).mean(-1), rtol=1e-4)


def test_code_distance_is_mahalanobis():
    codes = (RNG.normal(size=(400, 3)) @ [[2, 0, 0], [1, 0.5, 0], [0, 3, 1]] + [5, -1, 0]).astype("float32")
    distance = CodeDistance(3, shrinkage=0.0)
    for part in np.split(codes, 4):
        distance.update(part)
    away = codes.astype("float64") - codes.mean(0)
    wanted = np.einsum("nd,de,ne->n", away, np.linalg.inv(away.T @ away / 400), away) / 3
    np.testing.assert_allclose(distance(codes), wanted, rtol=5e-3)
    assert np.mean(distance(codes)) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", ["ae_anomaly", "ganomaly"])
def test_the_threshold_is_calibrated_saved_and_exported(name, tmp_path):
    model = tiny(name)
    live = verbs.Live(model)
    assert not live.outputs("score", images())["is_anomaly"].any()  # not calibrated
    digits = data.load("digits", normal=3)
    about = anomaly.calibrate(model, digits, 0.25)
    held = live("score", digits.images("validation").astype("float32") / 255)
    assert about["threshold"] == calibration.threshold(held, 0.25) and about["held_out"] == len(held)
    wanted = held > about["threshold"]
    assert 0 < wanted.mean() <= 0.25
    model.save(tmp_path / "model.keras")
    export.export(keras.models.load_model(tmp_path / "model.keras"), tmp_path / "served")
    found = export.Served(tmp_path / "served").outputs("score", digits.images("validation").astype("float32") / 255)
    assert list(found) == ["score", "is_anomaly", "threshold"]
    np.testing.assert_array_equal(found["is_anomaly"], wanted)
    np.testing.assert_allclose(found["threshold"], about["threshold"])


def test_a_threshold_is_found_by_default_from_few_images():
    model, digits = tiny("ae_anomaly"), data.load("digits", normal=3)
    few = data.Dataset(digits.spec, {split: (digits.images(split)[:7], None if split != "test" else digits.labels(split)[:7])
                                     for split in ("train", "validation", "test")})
    assert anomaly.calibrate(model, few)["asked_fpr"] == 0.125
    with pytest.raises(ValueError, match="needs at least 99 held-out normal images, there are 7"):
        anomaly.calibrate(model, few, 0.01)


def test_what_is_usual_is_learnt_of_clean_images():
    """With a corruption the statistics are those of uncorrupted images; the weights move too little to matter."""
    model = tiny("ae_anomaly", corruption="gaussian", level=1.0, learning_rate=1e-5)
    x = images(64)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(3), verbose=0)
    error = np.square(model.reconstruct(x) - x)
    np.testing.assert_allclose(model.difference.usual.average, error.mean(0), atol=1e-4)
    np.testing.assert_allclose(model.code_distance.mean.average, np.mean(model.encode(x), axis=0), atol=1e-3)
    wanted = model.difference.pool(model.anomaly_map(x)) + model.code_distance(model.encode(x))
    np.testing.assert_allclose(model.score(x), wanted, rtol=1e-5)

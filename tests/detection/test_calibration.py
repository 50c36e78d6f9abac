import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny
from scipy import ndimage

from tfgen import data, evaluation
from tfgen.detection import calibration, thresholds
from tfgen.layers import differences
from tfgen.layers.differences import CodeDistance, RunningMean, SquaredError, StandardisedError
from tfgen.serving import export, saved_model
from tfgen.verbs.live import Live

RNG = np.random.default_rng(0)
X, MADE = RNG.uniform(size=(2, 5, 8, 9, 3)).astype("float32")


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_blur_is_a_normalised_gaussian(sigma):
    maps = RNG.uniform(size=(2, 8, 9)).astype("float32")
    radius = int(np.ceil(3 * sigma))

    def smooth(x):
        return ndimage.gaussian_filter(x, (0, sigma, sigma), mode="constant", radius=(0, radius, radius))

    np.testing.assert_allclose(differences.blurred(maps, sigma), smooth(maps) / smooth(np.ones_like(maps)), rtol=1e-5)
    np.testing.assert_array_equal(differences.blurred(maps, 0.0), maps)


def test_squared_error_is_pooled_by_the_highest_pixels():
    error = np.square(X - MADE).mean(-1)
    maps = SquaredError()(X, MADE)
    np.testing.assert_allclose(maps, error, rtol=1e-5)
    np.testing.assert_allclose(SquaredError().pool(maps), error.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(SquaredError(top=0.0).pool(maps), error.max((1, 2)), rtol=1e-5)
    highest = np.sort(error.reshape(len(error), -1))[:, -round(0.1 * error[0].size):]
    assert 1 < highest.shape[1] < error[0].size
    np.testing.assert_allclose(SquaredError(top=0.1).pool(maps), highest.mean(1), rtol=1e-5)


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


def within(values, wanted, errors=4.0, more=0.0):
    """Whether a mean is the wanted one but for its sampling error and another, relative one."""
    error = np.hypot(np.std(values, ddof=1) / np.sqrt(len(values)), more * wanted)
    return abs(np.mean(values) - wanted) < errors * error


def test_code_distance_is_one_on_average_over_held_out_codes_where_shrinkage_dominates():
    spread = np.array([3.0, 1.0] + 14 * [0.02])
    seen, held, fresh = (spread * RNG.normal(size=(rows, 16)).astype("float32") for rows in (2000, 2000, 4000))
    distance = CodeDistance(16)
    for part in np.split(seen, 20):
        distance.update(part)
    assert np.mean(distance(fresh)) < 0.3
    calibration.settle([(distance, distance)], held)
    assert np.mean(distance(held)) == pytest.approx(1.0, rel=1e-3)
    assert within(distance(fresh), 1.0, more=np.std(distance(held)) / np.sqrt(len(held)))
    again = CodeDistance(16)
    again.update(seen)
    ratio = distance(fresh) / again(fresh)
    np.testing.assert_allclose(ratio, np.mean(ratio), rtol=1e-2)  # a factor, nothing else


def test_both_terms_are_one_on_average_over_normal_images_that_set_nothing():
    """Calibration takes each fourth held-out image for what is usual, the others for the threshold."""
    x = np.random.default_rng(4).uniform(size=(940, 8, 8, 1)) * np.linspace(0.02, 1, 8)[:, None, None]
    x = (255 * x).astype(np.uint8)
    noise = data.Dataset(data.DataSpec("noise", (8, 8, 1), None, {"train": 40, "validation": 400, "test": 500}),
                         {"train": (x[:40], None), "validation": (x[40:440], None), "test": (x[440:], None)})
    keras.utils.set_random_seed(0)
    model = tiny("ae_anomaly", learning_rate=0.01, latent_dim=16)
    model.fit(noise.train(20), steps_per_epoch=60, epochs=1, verbose=0)
    fresh = x[440:].astype("float32") / 255

    def terms():
        return np.mean(model.anomaly_map(fresh), (1, 2)), model.code_distance(model.encode(fresh)).numpy()

    assert max(abs(term.mean() - 1) for term in terms()) > 0.2
    about = calibration.calibrate(model, noise, 0.1)
    for term in terms():
        assert within(term, 1.0, more=term.std() / 10)
    held = x[40:440][np.arange(400) % 4 > 0].astype("float32") / 255
    assert about["held_out"] == 300
    assert about["threshold"] == pytest.approx(thresholds.threshold(model.score(held).numpy(), 0.1), rel=1e-5)
    assert calibration.calibrate(model, noise, 0.1)["threshold"] == pytest.approx(about["threshold"], rel=1e-3)


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["ae_anomaly", "ganomaly"])
def test_the_threshold_is_calibrated_saved_and_exported(name, tmp_path):
    model = tiny(name)
    live = Live(model)
    assert not live.outputs("score", images())["is_anomaly"].any()  # not calibrated
    digits = data.load("digits", normal=3)
    about = calibration.calibrate(model, digits, 0.25)
    held = live("score", digits.images("validation").astype("float32") / 255)
    assert about["threshold"] == thresholds.threshold(held, 0.25) and about["held_out"] == len(held)
    wanted = held > about["threshold"]
    assert 0 < wanted.mean() <= 0.25
    model.save(tmp_path / "model.keras")
    export.export(keras.models.load_model(tmp_path / "model.keras"), tmp_path / "served")
    found = saved_model.Served(tmp_path / "served").outputs("score", digits.images("validation").astype("float32") / 255)
    assert list(found) == ["score", "is_anomaly", "threshold"]
    np.testing.assert_array_equal(found["is_anomaly"], wanted)
    np.testing.assert_allclose(found["threshold"], about["threshold"])
    # A variable of the export, not a constant of its graph.
    saved = tf.saved_model.load(str(tmp_path / "served" / "1"))
    kept = [v for v in saved.signatures["score"].variables if v.shape == () and v.numpy() == np.float32(about["threshold"])]
    kept[0].assign(-1.0)
    assert saved.signatures["score"](x=tf.constant(images()))["is_anomaly"].numpy().all()


def test_a_threshold_is_found_by_default_from_few_images():
    model, digits = tiny("ae_anomaly"), data.load("digits", normal=3)
    few = data.Dataset(digits.spec, {split: (digits.images(split)[:7], None if split != "test" else digits.labels(split)[:7])
                                     for split in ("train", "validation", "test")})
    assert calibration.calibrate(model, few)["asked_fpr"] == 0.125
    with pytest.raises(ValueError, match="needs at least 99 held-out normal images, there are 7"):
        calibration.calibrate(model, few, 0.01)


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


def test_evaluation_with_masks_and_without_anomalies():
    """A planted bright square is found in images and pixels by a detector that knows the black image."""
    x = np.zeros((6, 8, 8, 1), np.uint8)
    x[3:, 2:4, 3:6] = 255
    spec = data.DataSpec("squares", (8, 8, 1), None, {"train": 6, "validation": 6, "test": 6}, ("good", "square"),
                         "one_class")
    normal = np.zeros_like(x)
    squares = data.Dataset(spec, {"train": (normal, None), "validation": (normal, None),
                                  "test": (x, np.array([0, 0, 0, 1, 1, 1]))}, masks={"test": x[..., 0] > 0})
    model = tiny("ae_anomaly", standardise=False, code_weight=0.0)
    for network in (model.encoder, model.decoder):
        network.set_weights([np.zeros_like(w) for w in network.get_weights()])
    found = evaluation.of_detection(model, squares)  # not calibrated
    assert found == {"auroc": 0.5, "average_precision": 0.5, "pixel_auroc": 0.5, "aupro": pytest.approx(0.15)}
    model.decoder.set_weights([*model.decoder.get_weights()[:-1], np.full_like(model.decoder.get_weights()[-1], -9.0)])
    assert evaluation.of_detection(model, squares, "validation") == {}
    model.threshold.assign(0.01)
    found = evaluation.of_detection(model, squares)
    assert [found[key] for key in ("auroc", "pixel_auroc", "aupro", "f1", "fpr")] == pytest.approx([1, 1, 1, 1, 0])
    held = evaluation.of_detection(model, squares, "validation")
    assert held["normal"] == 6 and held["fpr"] == 0.0 and "auroc" not in held

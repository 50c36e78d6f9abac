"""Recipes on vectors and windows: every verb takes and gives values in the data's own units."""

import keras
import numpy as np
import pytest
from cases import TINY

from tfgen import data, recipes
from tfgen.data import DataSpec
from tfgen.detection import baselines, calibration
from tfgen.distributions import Gaussian, Standardised
from tfgen.distributions.bijectors import Standardise
from tfgen.errors import UserError
from tfgen.evaluation import evaluate
from tfgen.serialization import computing_in
from tfgen.serving import export
from tfgen.serving.saved_model import Served
from tfgen.verbs.live import Live

NAMES = [name for name, recipe in recipes.RECIPES.items() if recipe.vectors]
LOCATION, SCALE = np.array([3.0, -100.0, 0.0, 5e4]), np.array([0.5, 20.0, 1e-3, 1e3])
STANDARD = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")


def spec_of(location, scale, shape=(4,)):
    return DataSpec("vectors", shape, 3, {"train": 16, "validation": 8, "test": 8}, location=tuple(location),
                    scale=tuple(scale))


def model_of(name, spec):
    keras.utils.set_random_seed(0)
    recipe = recipes.find(name)
    asked = recipe.hyperparameters(spec)
    return recipe.model(spec, **{key: value for key, value in TINY.items() if key in asked})


def fitted(name, spec, rows):
    """A model after three steps, and its losses."""
    model, labelled = model_of(name, spec), recipes.find(name).view == "labelled"
    batch = (rows, np.arange(len(rows)) % 3) if labelled else rows
    keras.utils.set_random_seed(1)
    return model, [model.train_on_batch(*(batch if labelled else (batch,)), return_dict=True) for _ in range(3)]


@pytest.mark.rotating
@pytest.mark.parametrize("name", NAMES)
def test_units_do_not_matter(name):
    """A model of a x + b is that of x: what it gives is a (...) + b, densities have -sum log a, scores are the same."""
    rows = (LOCATION + SCALE * STANDARD).astype("float32")
    (plain, losses), (scaled, others) = (fitted(name, spec, x) for spec, x in (
        (spec_of(np.zeros(4), np.ones(4)), STANDARD), (spec_of(LOCATION, SCALE), rows)))
    volume, close = np.log(SCALE).sum(), {"rtol": 2e-3, "atol": 2e-3}
    for first, second in zip(losses, others):
        for key in {"mse", "penalty", "kl", "distance"} & set(first):
            np.testing.assert_allclose(second[key], first[key], **close, err_msg=key)
    first, second = Live(plain), Live(scaled)
    for verb in first.names:
        options = {"label": np.arange(24) % 3} if "label" in first.options[verb] else {}
        if verb == "decode":
            codes = np.random.default_rng(1).normal(size=(5, *first.latent_shape)).astype("float32")
            options = {key: value[:5] for key, value in options.items()}
            found, wanted = second(verb, codes, **options), first(verb, codes, **options)
        elif verb == "sample":
            found, wanted = (live(verb, np.arange(24), **options) for live in (second, first))
        else:
            found, wanted = second(verb, rows, **options), first(verb, STANDARD, **options)
        if verb in ("reconstruct", "decode", "sample"):
            found = (found - LOCATION) / SCALE
        elif verb == "log_prob":
            # The noise of a bound is a hash of the row, in whatever units: it is averaged out.
            if "k" in first.options[verb]:
                found, wanted = second(verb, rows, k=2000, **options), first(verb, STANDARD, k=2000, **options)
            np.testing.assert_allclose(found.mean() + volume, wanted.mean(), atol=0.05)
            continue
        np.testing.assert_allclose(found, wanted, **close, err_msg=verb)


@pytest.mark.parametrize("name", ["maf", "nice"])
def test_a_density_in_the_units_of_the_data(name):
    """log p(x) of the exact models: that of standardised rows less the log of the scales."""
    rows = (LOCATION + SCALE * STANDARD).astype("float32")
    plain, scaled = model_of(name, spec_of(np.zeros(4), np.ones(4))), model_of(name, spec_of(LOCATION, SCALE))
    np.testing.assert_allclose(np.asarray(scaled.log_prob(rows)), np.asarray(plain.log_prob(STANDARD)) - np.log(SCALE).sum(),
                               rtol=1e-3, atol=1e-3)


@pytest.mark.rotating
@pytest.mark.parametrize("name, shape", [("vae", (4,)), ("maf", (6, 2)), ("ae_anomaly", (6, 2)), ("deep_svdd", (4,))])
def test_files_and_exports(name, shape, tmp_path):
    """A saved and an exported model give what the model gives; of windows, too."""
    channels = shape[-1]
    model = model_of(name, spec_of(LOCATION[:channels], SCALE[:channels], shape))
    rows = (LOCATION[:channels] + SCALE[:channels] * np.random.default_rng(2).normal(size=(5, *shape))).astype("float32")
    model.train_on_batch(rows)
    live, served = Live(model), Served(export.export(model, tmp_path / "m"))
    model.save(tmp_path / "m.keras")
    again = Live(keras.models.load_model(tmp_path / "m.keras"))
    assert live.vectors and served.vectors and again.model.scaling == (tuple(LOCATION[:channels]), tuple(SCALE[:channels]))
    for verb in live.names:
        if verb in ("reconstruct", "encode", "log_prob", "score", "anomaly_map"):
            for other in (served, again):
                np.testing.assert_allclose(other(verb, rows), live(verb, rows), rtol=1e-4, atol=1e-5)
    if "anomaly_map" in live.names:
        assert live("anomaly_map", rows).shape == rows.shape


def test_a_detector_of_vectors(capsys):
    """Far rows score higher than usual ones, which are called normal; the baselines stand beside it."""
    generator = np.random.default_rng(3)
    values = np.concatenate([generator.normal(size=(400, 4)) @ generator.normal(size=(4, 4)),
                             8 + generator.normal(size=(40, 4))])
    dataset = data.one_class(data.vectors(values * SCALE + LOCATION, np.repeat([0, 1], [400, 40])), normal=0)
    model = model_of("ae_anomaly", dataset.spec)
    model.fit(dataset.train(32), steps_per_epoch=30, verbose=0)
    calibration.calibrate(model, dataset)
    figures = evaluate(model, dataset, recipes.find("ae_anomaly"))
    found = figures["detection"]
    assert figures["vectors"] == dataset.spec.sizes["test"] and "bits_per_dim" not in figures
    assert found["auroc"] > 0.95 and found["fpr"] < 0.3
    assert set(found["baselines"]) == {"knn", "isolation_forest"} and found["baselines"]["knn"]["auroc"] > 0.95


@pytest.mark.parametrize("steps", [1, 5])
def test_rows_far_from_the_data_have_a_low_density_not_nan(steps):
    """Log scales of ReLU networks grow with the distance: without bounds, products of five layers overflow."""
    model = recipes.find("maf").model(spec_of(np.zeros(4), np.ones(4)), units=64, flow_steps=steps)
    generator = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.3 * generator.normal(size=weight.shape))
    usual = model.log_prob(STANDARD).numpy()
    for far in (30.0, 1e3, 1e6):
        found = model.log_prob(far * np.sign(STANDARD)).numpy()
        assert np.isfinite(found).all() and found.max() < usual.min(), far


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["ae_anomaly", "vae_anomaly"])
def test_scales_that_squares_do_not_survive(name):
    """Columns of 1e25 and 1e-25 in float32: scores are those of other units."""
    spread = np.array([1.0, 1e25, 1e-25, 1.0])
    rows = (spread * STANDARD).astype("float32")
    (plain, _), (extreme, losses) = (fitted(name, spec_of(np.zeros(4), scale), x) for scale, x in (
        (np.ones(4), STANDARD), (spread, rows)))
    assert np.isfinite(losses[-1]["loss"])
    np.testing.assert_allclose(Live(extreme)("score", rows), Live(plain)("score", STANDARD), rtol=2e-3)


def test_what_samples_is_evaluated_without_a_comparison_of_images():
    dataset = data.vectors(STANDARD, name="made")
    figures = evaluate(model_of("maf", dataset.spec), dataset, recipes.find("maf"), samples=1000)
    assert np.isfinite(figures["log_prob"]) and not {"samples", "left_out", "bits_per_dim_of_images"} & set(figures)


def test_baselines_by_hand():
    train = np.array([[0.0], [1.0], [3.0]])
    assert baselines.knn(train, 0, 2)(np.array([[0.0], [7.0]])).tolist() == [0.5, 5.0]
    diagonal = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert baselines.pca(diagonal, 0, 1)(np.array([[2.0, 4.0]])) == pytest.approx([1.0])


def test_recipes_of_images_say_which_take_vectors():
    spec = spec_of(LOCATION, SCALE)
    with pytest.raises(UserError, match="dcgan expects images, 'vectors' holds vectors: choose one of autoencoder, "):
        recipes.find("dcgan").model(spec)
    with pytest.raises(UserError, match="siren expects one signal, 'vectors' holds vectors: choose one of"):
        recipes.find("siren").model(spec)
    with pytest.raises(UserError, match="nice expects at least two values per row"):
        recipes.find("nice").model(spec_of([0.0], [1.0], (1,)))


def test_errors_stay_in_float32():
    """What is usual of an error is a small difference of large numbers: an export in bfloat16 has it, too."""
    model = model_of("ae_anomaly", spec_of(LOCATION, SCALE))
    rows = (LOCATION + SCALE * STANDARD).astype("float32")
    model.train_on_batch(rows)
    found = Live(computing_in(model, "mixed_bfloat16"))("score", rows)
    np.testing.assert_allclose(found, Live(model)("score", rows), rtol=0.2)


@pytest.mark.parametrize("make", [lambda *scaling: Standardised(Gaussian(1.0), *scaling), Standardise])
def test_scales_that_are_refused(make):
    for scaling, message in ((([0.0], [0.0]), "received 1 and 1, the smallest 0.0"),
                             (([0.0, 1.0], [1.0]), "received 2 and 1")):
        with pytest.raises(UserError, match=rf"\(location, scale\) expects as many locations as scales > 0, {message}"):
            make(*scaling)

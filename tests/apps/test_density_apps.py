"""Apps of explicit densities, by their fast paths, in this process."""

import numpy as np
import pytest
from PIL import Image

from tfgen import catalogue, recipes
from tfgen.data import DataSpec
from tfgen.errors import UserError

pytestmark = pytest.mark.rotating


def test_two_d_densities(app, tmp_path):
    made = app("two_d_densities").main(fast=True, out=tmp_path / "densities.png")
    assert [row["problem"] for row in made["table"]] == ["moons", "rings", "checkerboard"]
    # A density is no nearer to the truth than the truth, and integrates to 1.
    assert all(row["divergence"] > 0 and row["mass_on_the_grid"] < 1.01 for row in made["table"])
    assert made["entropy checkerboard"] == pytest.approx(np.log(8)) and Image.open(tmp_path / "densities.png").size[0] > 400
    assert not list(tmp_path.glob("*.json"))


def test_likelihood_is_not_typicality(app, tmp_path):
    typicality = app("likelihood_is_not_typicality")
    digits = typicality.digits_like_mnist(3, 28)
    assert digits.shape == (3, 28, 28, 1) and digits[:, :4].max() == 0 and digits[:, 4:24, 4:24].max() > 0.9
    rows = typicality.main(fast=True, out=tmp_path / "bits.png")
    assert list(rows) == ["its own", "half as bright", "black", "inverted", "uniform noise"]
    assert all(0 <= row["auroc"] <= 1 and 0 <= row["share_likelier"] <= 1 for row in list(rows.values())[1:])
    assert Image.open(tmp_path / "bits.png").size[0] > 400 and not list(tmp_path.glob("*.json"))


def test_hierarchy_of_latents(app, tmp_path):
    hierarchy = app("hierarchy_of_latents")
    values = hierarchy.main(fast=True, folder=tmp_path / "runs", k=2)
    assert values["bits_per_dim gain"] == values["bits_per_dim vae"] - values["bits_per_dim hierarchical_vae"]
    assert values["least kl of a layer"] == min(values[f"kl_{layer}"] for layer in (1, 2, 3, 4)) and "kl_5" not in values
    # 17 levels of the digits lie on 256; a bound that has not been trained is above 8 bits at most.
    assert all(0 < values[f"bits_per_dim {name}"] < 8 for name in hierarchy.TRAININGS)
    assert Image.open(tmp_path / "runs" / "hierarchy_of_latents.png").size[0] > 400 and not list(tmp_path.glob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
    hierarchy.main(fast=True, folder=tmp_path / "runs")  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 2


def test_hierarchy_of_latents_keeps_upper_layers_and_names_hyperparameters_of_its_recipes(app):
    hierarchy = app("hierarchy_of_latents")
    model = recipes.find("hierarchical_vae").model(DataSpec("x", (8, 8, 1)), **hierarchy.TINY["hierarchical_vae"])
    images = hierarchy.redrawn(model)
    assert images.shape == (5, hierarchy.SAMPLES * hierarchy.REDRAWN, 8, 8, 1)
    # The first of a group is the same whatever is kept, and all are the same if all layers are.
    np.testing.assert_allclose(images[:, 0], np.repeat(images[:1, 0], 5, 0), atol=1e-6)
    np.testing.assert_allclose(images[4, :hierarchy.REDRAWN], np.repeat(images[4, :1], hierarchy.REDRAWN, 0), atol=1e-6)
    assert np.abs(images[0, 1] - images[0, 2]).max() > 1e-4
    known = {row["name"]: set(row["hyperparameters"]) for row in catalogue.rows()}
    assert all(set(training.values) <= known[training.recipe] for training in hierarchy.TRAININGS.values())


def test_explicit_densities(app, tmp_path):
    densities = app("explicit_densities")
    with pytest.raises(UserError, match="expected one of digits_16, fashion_8bit, .*, received 'fashion'"):
        densities.main("fashion", fast=True)
    rows = densities.main("digits_16", fast=True, folder=tmp_path)
    assert list(rows) == ["gated_pixelcnn", "glow", "per-pixel categorical", "full-covariance Gaussian"]
    # 16 levels have at most 4 bits, which a density that has not been trained exceeds.
    assert all(0 < row["test"] < 6 for row in rows.values()) and rows["per-pixel categorical"]["test"] < 3
    assert Image.open(tmp_path / "digits_16" / "explicit_densities_digits_16.png").size[0] > 400
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "digits_16").glob("*.json")}
    densities.main("digits_16", fast=True, folder=tmp_path)  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in before} == before and not list(tmp_path.glob("*.json"))


def test_explicit_densities_have_baselines_that_are_known(app):
    densities, random = app("explicit_densities"), np.random.default_rng(0)
    train, test = random.integers(0, 2, (4000, 3)), random.integers(0, 2, (20_000, 3))
    # Fair coins: one bit per value; a Gaussian of uniform noise loses at least log sqrt(2 pi e / 12) nats per value.
    assert densities.per_pixel_categorical(train, test, 2).mean() == pytest.approx(-3 * np.log(2), abs=0.01)
    bound = -3 * (np.log(2) + 0.5 * np.log(2 * np.pi * np.e / 12))
    assert densities.full_covariance_gaussian(train, test, 2).mean() == pytest.approx(bound, abs=0.02)


def test_explicit_densities_name_hyperparameters_that_recipes_have(app):
    known = {row["name"]: {*row["hyperparameters"], "dequantisation_filters"} for row in catalogue.rows()}
    for work in app("explicit_densities").WORKS.values():
        assert all(set(training.values) <= known[training.recipe] for training in work.trainings.values())

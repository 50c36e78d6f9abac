"""Searches: what measures the objective is there, a final run has its own length."""

import contextlib

import keras_tuner
import numpy as np
import pytest
from cases import tiny_values
from PIL import Image

from tfgen import data, files, recipes, runs
from tfgen.errors import UserError
from tfgen.runs import tuning


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def own(hypermodel, objective, folder):
    return keras_tuner.RandomSearch(hypermodel, objective=keras_tuner.Objective(objective, "min"), max_trials=1,
                                    directory=str(folder), project_name="own", seed=1)


@pytest.mark.rotating
def test_a_search_of_ones_own_measures_a_gans_objective(digits, tmp_path):
    tuner = own(tuning.hypermodel("gan", digits, tiny_values("gan")), "val_frechet_distance", tmp_path)
    tuner.search(digits.train(64), steps_per_epoch=2, epochs=1, verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert trial.status == "COMPLETED" and trial.score > 0


@pytest.mark.parametrize("about, objective, options, message", [
    ("spec", "val_frechet_distance", {}, "give hypermodel.*the data set in place of its spec"),
    ("dataset", "val_loss", {}, "have critic_loss, generator_loss"),
    ("spec", "val_critic_loss", {}, "or give validation_data"),
])
def test_an_objective_that_is_not_logged_is_refused_before_training(digits, tmp_path, about, objective, options, message):
    hypermodel = tuning.hypermodel("gan", digits if about == "dataset" else digits.spec, tiny_values("gan"))
    tuner = own(hypermodel, objective, tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        tuner.search(digits.train(64), steps_per_epoch=2, epochs=1, verbose=0)
    assert "\n" not in str(caught.value) and objective in str(caught.value)


@pytest.mark.rotating
def test_a_final_run_has_its_own_length(digits, tmp_path):
    one_class = data.load("digits", normal=0)
    values = {key: value for key, value in tiny_values("ae_anomaly").items() if key != "total_steps"}
    best = tuning.search("ae_anomaly", one_class, tmp_path / "search", trials=1, epochs=2, steps=3, batch_size=32,
                         values=values, verbose=0)
    assert "total_steps" not in best
    settings = runs.read(tmp_path / "search" / "best")
    assert settings["hyperparameters"]["total_steps"] == 2 * one_class.steps(32) != 6


def test_schedules_of_a_trial_end_with_it(digits):
    hypermodel = tuning.Trials(recipes.find("fanogan"), digits, {"critic_steps": 4}, 16, 3, None)
    hp = keras_tuner.HyperParameters()
    assert hypermodel.steps(hp)(4) == 3 * digits.steps(64)
    hp.values |= {"tuner/epochs": 9, "tuner/initial_epoch": 3}
    # A promoted trial goes on with the steps of an earlier one.
    assert hypermodel.steps(hp)(1) == 9 * digits.steps(16)


def test_every_trial_has_its_own_length(digits, tmp_path):
    """KerasTuner hands each trial the hyperparameters that the first build registered."""
    hypermodel = tuning.Trials(recipes.find("fanogan"), digits, {"filters": 2, "latent_dim": 2}, 16, 3, None)
    hp = keras_tuner.HyperParameters()
    for steps, epochs in ((5, 3), (2, 3), (2, 1)):
        trial = hp.copy()
        trial.values |= {"critic_steps": steps, "gan_share": 0.5, "tuner/epochs": epochs}
        model = hypermodel.build(trial)
        assert trial.values["total_steps"] == epochs * digits.steps(16 * steps)
        assert model.gan_steps == trial.values["total_steps"] // 2
        hp = trial


@pytest.mark.rotating
def test_names_of_a_branch_are_taken_where_the_branch_is_fixed(digits, tmp_path):
    recipe = recipes.find("sparse")
    best = tuning.search(recipe, digits, tmp_path / "search", trials=2, epochs=1, steps=1, batch_size=64,
                         values={"latent_dim": 3, "learning_rate": "1e-3"}, verbose=0)
    assert set(best) - {"rho"} == {"penalty_weight", "penalty", "latent_dim", "learning_rate"}
    assert ("rho" in best) == (best["penalty"] == "kl")


def test_mistakes_write_nothing(digits, tmp_path):
    for values, message in (({"latnt_dim": 3}, "did you mean"), ({"latent_dim": 0}, "1 ... ")):
        with pytest.raises(ValueError, match=message):
            tuning.search("vae", digits, tmp_path / "search", values=values, verbose=0)
    with pytest.raises(ValueError, match="expects labelled"):
        tuning.search("conditional_vae", data.load("digits", normal=1), tmp_path / "search", verbose=0)
    np.savez(tmp_path / "few.npz", x=np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="'val_frechet_distance' will not be in the logs.* do not allow it: it expects"):
        tuning.search("gan", tmp_path / "few.npz", tmp_path / "search", verbose=0)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="dcgan expects images, .* holds one signal"):
        tuning.search("dcgan", tmp_path / "photo.png", tmp_path / "search", verbose=0)
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize("name", ["pictures", "trials", "run.json", "report.md"])
def test_a_search_keeps_what_is_not_its_own(digits, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=f"expected a new folder or one of a search for --out, found {name} in"):
        tuning.search("autoencoder", digits, tmp_path, 1, epochs=1, values={"latent_dim": 2}, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name / "mine.txt").exists()


def test_a_search_without_a_completed_trial_is_made_anew(tmp_path):
    trial = tmp_path / "trials" / "trial_0" / "trial.json"
    trial.parent.mkdir(parents=True)
    (tmp_path / "search.json").write_text("{}")
    for status, free in (("RUNNING", True), ("INVALID", True), ("COMPLETED", False)):
        files.write_json(trial, {"trial_id": "0", "status": status})
        with contextlib.nullcontext() if free else pytest.raises(UserError, match="holds a search already"):
            tuning.check_free(tmp_path)
    trial.unlink()
    with files.held(tmp_path), pytest.raises(UserError, match="is being written by another training"):
        tuning.search("autoencoder", data.load("digits"), tmp_path, 1, epochs=1, values={"latent_dim": 2}, verbose=0)
    assert (tmp_path / "search.json").read_text() == "{}"

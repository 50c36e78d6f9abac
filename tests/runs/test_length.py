"""The length of a run: where stages and schedules end."""

import copy
import dataclasses
import random
import types

import keras
import numpy as np
import pytest
from cases import tiny_values

from tfgen import data, recipes, runs, seeds
from tfgen.runs import checkpoints, resuming
from tfgen.runs.regime import end_of


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


STAGED = {"progan": {"critic_steps": 2}, "stylegan": {}, "stackgan": {}, "fanogan": {"critic_steps": 2}}


def unmeasured(recipe):
    """A recipe whose runs measure no samples, which takes longer than a short training."""
    return dataclasses.replace(recipes.find(recipe), objective=("val_generator_loss", "min"))


@pytest.mark.rotating
@pytest.mark.parametrize("recipe", STAGED)
def test_stages_end_where_the_run_ends(digits, tmp_path, recipe):
    # The default lengths of stages, which follow from the run's.
    values = {key: value for key, value in tiny_values(recipe).items() if not key.endswith("_steps")} | STAGED[recipe]
    model = runs.train(unmeasured(recipe), digits, tmp_path / "run", 4, values, batch_size=128, verbose=0, picture_every=4)
    steps = int(model.optimizer.iterations)
    assert steps == 4 * digits.steps(128 * model.batches_per_step)
    assert runs.read(tmp_path / "run")["hyperparameters"]["total_steps"] == steps
    stage = [row["stage"] for row in runs.read_history(tmp_path / "run")]
    assert stage[0] < 0.5 and stage[-1] == model.stages - 1
    # What the last stage trains moved.
    born = recipes.find(recipe)
    keras.utils.set_random_seed(0)
    before = born.model(digits.spec, **runs.read(tmp_path / "run")["hyperparameters"]).generator_variables
    moved = [np.abs(ours.numpy() - theirs.numpy()).max() for ours, theirs in zip(model.generator_variables, before)]
    assert np.mean(np.array(moved) > 0) > 0.9


@pytest.mark.rotating
@pytest.mark.parametrize("recipe", ["ae_anomaly", "cyclegan", "deep_svdd"])
def test_schedules_end_where_the_run_ends(tmp_path, recipe):
    dataset = data.load("digits", domains=(0, 1)) if recipe == "cyclegan" else data.load("digits", normal=0)
    values = {key: value for key, value in tiny_values(recipe).items() if key not in ("total_steps", "pretrain_share")}
    model = runs.train(unmeasured(recipe), dataset, tmp_path / "run", 2, values, batch_size=64, verbose=0)
    steps = int(model.optimizer.iterations)
    assert steps == 2 * dataset.steps(64) == runs.read(tmp_path / "run")["hyperparameters"]["total_steps"]
    if recipe == "deep_svdd":
        assert model.pretrain_steps == steps // 2
    else:
        assert float(model.optimizer.learning_rate) == 0.0
        schedule = model.optimizer._learning_rate
        assert float(schedule(steps - 1)) > 0.0


def test_a_recipe_may_have_its_papers_batch_size():
    assert recipes.find("cyclegan").batch_size == 1 and recipes.find("vae").batch_size == 128


@pytest.fixture
def planned():
    """(settings, recipe, dataset, model) of a run of four epochs of two steps."""
    dataset, recipe = data.load("digits", normal=0), recipes.find("ae_anomaly")
    settings = {"hyperparameters": tiny_values("ae_anomaly") | {"total_steps": 8}, "batch_size": 64, "epochs": 4,
                "seed": 0}
    return settings, recipe, dataset, recipe.model(dataset.spec, **settings["hyperparameters"])


def test_schedules_are_stretched_only_when_asked(planned, capsys):
    settings, *about, model = planned
    with pytest.raises(ValueError, match="the schedules of run end with step 8, 5 epochs with step 10: add --extend"):
        resuming.lengthened("run", dict(settings), *about, model, 6, 5, extend=False)
    assert resuming.lengthened("run", settings, *about, model, 4, 3, extend=False) is model
    assert "end with step 8, 3 epochs with step 6: what comes later in them is left out" in capsys.readouterr().err
    before = checkpoints.state(model)
    keras.utils.set_random_seed(0)
    stretched = resuming.lengthened("run", settings, *about, model, 4, 5, extend=True)
    assert settings["hyperparameters"]["total_steps"] == 10 and settings["epochs"] == 5
    for ours, theirs in zip(checkpoints.state(stretched), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def changed(recipe, change):
    """A recipe of another version: a function changes the model that it builds."""
    def build(hp, spec):
        model = recipe.build(hp, spec)
        return change(model) or model

    return dataclasses.replace(recipe, build=build)


def test_a_recipe_that_has_changed_does_not_replace_a_model_unsaid(planned, capsys):
    """Stretching builds the model anew; another version of tfgen need not have another number."""
    settings, recipe, dataset, model = planned
    heavier = changed(recipe, lambda model: setattr(model, "code_weight", 3.0))
    with pytest.raises(ValueError, match="to build the model of run anew, found .*code_weight 1.0 -> 3.0, for the recipe "
                                         "has changed: extend it with the version of tfgen .* or go on with --force"
                       ) as caught:
        resuming.lengthened("run", copy.deepcopy(settings), heavier, dataset, model, 4, 5, extend=True)
    assert "\n" not in str(caught.value)
    made = resuming.lengthened("run", copy.deepcopy(settings), heavier, dataset, model, 4, 5, extend=True, force=True)
    assert made.code_weight == 3.0 and "code_weight 1.0 -> 3.0 in the model of run" in capsys.readouterr().err
    # Weights of other shapes cannot be those of the run.
    wider = changed(recipe, lambda _: recipe.model(dataset.spec, **settings["hyperparameters"] | {"filters": 8}))
    with pytest.raises(ValueError, match="the recipe has changed: .* or train a new run"):
        resuming.lengthened("run", copy.deepcopy(settings), wider, dataset, model, 4, 5, extend=True, force=True)


def test_another_rule_of_the_length_is_a_change(planned):
    """Of a recipe whose rates of today end elsewhere than with the training."""
    settings, recipe, dataset, model = planned

    def later(made):
        rate = made.optimizer._learning_rate
        made.optimizer.learning_rate = rate.from_config(rate.get_config() | {"decay_steps": 3 * rate.decay_steps})

    with pytest.raises(ValueError, match="decay_steps 8 -> 24, for the recipe has changed"):
        resuming.lengthened("run", settings, changed(recipe, later), dataset, model, 4, 5, extend=True)


@pytest.mark.parametrize("epochs, asked, known", [(2, 4, 4), (10, 5, 5)])
def test_the_length_of_a_regimes_schedule_is_no_change(digits, epochs, asked, known):
    """A run killed while it was stretched, or told to end early, has the new number of epochs already."""
    recipe, steps = recipes.find("autoencoder"), digits.steps(512)
    settings = {"hyperparameters": tiny_values("autoencoder"), "batch_size": 512, "epochs": epochs, "seed": 0,
                "regime": {"schedule": "cosine"}}
    model = resuming.born(settings, recipe, digits)
    settings["epochs"] = known
    assert end_of(model) == epochs * steps
    assert end_of(resuming.lengthened("run", settings, recipe, digits, model, steps, asked, extend=True)) == asked * steps


def test_what_a_recipe_draws_stays_when_a_run_is_stretched():
    """The features that `padim` chooses are no weights."""
    dataset, recipe = data.load("digits", normal=0), recipes.find("padim")
    settings = {"hyperparameters": tiny_values("padim") | {"total_steps": 8}, "batch_size": 64, "epochs": 4, "seed": 5}
    seeds.set_random(5)
    model = recipe.model(dataset.spec, **settings["hyperparameters"])
    random.seed(6)
    stretched = resuming.lengthened("run", settings, recipe, dataset, model, 4, 8, extend=True)
    assert stretched.chosen == model.chosen and stretched.network_steps == 2 * model.network_steps


def test_schedules_of_what_has_been_made_stay(planned, capsys):
    settings, *about, model = planned
    for step, epochs, told in ((8, 3, "4 epochs, more than 3"), (4, 2, "2 epochs, as asked"),
                               (5, 2, "2 epochs and a part of the next, more than 2")):
        assert resuming.lengthened("run", settings, *about, model, step, epochs, extend=True) is model
        assert settings["hyperparameters"]["total_steps"] == 8 and settings["epochs"] == step // 2
        assert f"run has made {told}, and is not trained further" in capsys.readouterr().err


@pytest.mark.parametrize("kept, stretched, back", [
    (8, None, False), (8, 0, False), (None, 0, False), (4, None, True), (8, 16, True), (4, 16, True), (None, 16, True)])
def test_a_run_killed_while_it_was_stretched_forgets_it(kept, stretched, back):
    """Else a later resume for more epochs would stretch without being asked."""
    settings = {"hyperparameters": {"total_steps": 8}} | ({} if stretched is None else {"stretched": stretched})
    record, model = kept and {"hyperparameters": {"total_steps": kept}}, types.SimpleNamespace(batches_per_step=1)
    assert resuming.put_back(settings, record, model) == back
    assert settings["hyperparameters"]["total_steps"] == (kept or 8)
    assert not resuming.put_back(settings, record, model)


@pytest.mark.rotating
def test_a_run_is_not_resumed_beyond_its_schedules_unless_asked(tmp_path):
    dataset, out = data.load("digits", normal=0), tmp_path / "run"
    values = tiny_values("ae_anomaly") | {"total_steps": 4}
    runs.train("ae_anomaly", dataset, out, 2, values, batch_size=64, verbose=0)
    settings = runs.read(out)
    with pytest.raises(ValueError, match="end with step 4, 4 epochs with step 8: add --extend"):
        runs.resume(out, epochs=4, verbose=0)
    assert runs.read(out) == settings
    model = runs.resume(out, epochs=4, verbose=0, extend=True)
    assert int(model.optimizer.iterations) == 8 and float(model.optimizer.learning_rate) == 0.0
    assert runs.read(out)["hyperparameters"]["total_steps"] == 8 and runs.read(out)["epochs"] == 4
    # What has been made stays as it was planned.
    for epochs in (3, 4):
        assert int(runs.resume(out, epochs=epochs, extend=True, verbose=0).optimizer.iterations) == 8
        assert runs.read(out)["hyperparameters"]["total_steps"] == 8 and runs.read(out)["epochs"] == 4

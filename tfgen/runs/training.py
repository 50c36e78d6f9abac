"""Trains a recipe into a new run folder."""

import dataclasses
import datetime
import pathlib
import sys

import keras_tuner
import tensorflow as tf

from tfgen import data, disks, files, recipes, seeds
from tfgen.data.order import ORDER
from tfgen.errors import UserError, check_positive, note
from tfgen.recipes.given import STEPS
from tfgen.runs import strategies
from tfgen.runs.folder import check_free, described, intact, open_run, read
from tfgen.runs.quality import SampleQuality
from tfgen.runs.regime import Regime
from tfgen.runs.running import follow, run

# Last parts of the paths of weights that count steps, images or batches.
COUNTERS = ("step", "count", "batches")


def train(recipe, dataset, out, epochs=20, values=None, batch_size=None, seed=0, tensorboard=False, picture_every=1,
          steps_per_execution=16, verbose="auto", command=None, regime=None, start=None, strategy=None):
    """Trains a recipe into a new run folder.

    Args:
        recipe: a recipe's name or `Recipe`.
        dataset: a `tfgen.data.Dataset`, or a name or path for `tfgen.data.load`.
        out: the run folder; must not hold a run. A run without a checkpoint or `model.keras` is overwritten.
        epochs: passes over the training data, >= 1.
        values: {hyperparameter: value}; the other hyperparameters keep the recipe's defaults.
        batch_size: images per optimizer update; with `regime.accumulate`, per part of one. A model with `critic_steps=k`
            consumes k times as many images per training step. None uses the recipe's value.
        seed: seed of weights, noise and data order, 0 ... 2^63 - 1.
        tensorboard: also write TensorBoard's event files to `out/tensorboard`: scalars, pictures, hyperparameters.
        picture_every: number of epochs between pictures.
        steps_per_execution: upper bound for Keras' `steps_per_execution`. The largest value that divides the number of
            steps per epoch is used.
        verbose: as in `fit`.
        command: command to record in `run.json`; None records `sys.argv`.
        regime: `regime.Regime`; None: the default one.
        start: a run of the same recipe, whose weights the model begins with where their shapes are equal (fine-tuning); its
            hyperparameters take the place of the recipe's defaults. None: random weights.
        strategy: `tf.distribute` strategy of the devices to train on, see `strategies.strategy_of`; None: one device. Only
            its chief writes.

    Returns:
        The trained model; of several replicas, a copy on one device.

    Raises:
        UserError: for invalid arguments, data or folder; nothing is written then.
        Failure: if another process of the strategy is gone.
    """
    recipe = recipes.find(recipe) if isinstance(recipe, str) else recipe
    out = pathlib.Path(out)
    strategy = strategy or tf.distribute.get_strategy()
    writes = strategies.chief(strategy)
    if writes:
        check_free(out)
    batch_size = recipe.batch_size if batch_size is None else batch_size
    check_positive(epochs=epochs, batch_size=batch_size)
    regime = regime or Regime()
    batch_size *= regime.accumulate
    seeds.folded(seed)
    dataset = data.load(dataset) if isinstance(dataset, (str, pathlib.Path)) else dataset
    settings = described(recipe, dataset, None) | {
        "seed": seed, "order": ORDER, "epochs": epochs, "batch_size": batch_size, "tensorboard": tensorboard,
        "picture_every": picture_every, "steps_per_execution": steps_per_execution, "command": command or sys.argv,
        "content": dataset.digest(),
        "regime": dataclasses.asdict(regime), "devices": strategies.described(strategy),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    seeds.set_random(seed)
    values = hyperparameters_of(recipe, start) | (values or {}) if start is not None else values
    steps = length(dataset, batch_size, epochs)
    with strategy.scope(), regime.building():
        model, chosen = recipe.build_with(keras_tuner.HyperParameters(), dataset.spec, values, steps)
        regime.compiled(model, steps(model.batches_per_step))
    strategies.check(strategy, dataset, model, batch_size)
    unmeasurable = recipe.objective[0] == SampleQuality.NAME and SampleQuality.unmeasurable(dataset)
    regime.check(recipe.objective, unmeasurable)
    if start is not None:
        settings["from"] = str(pathlib.Path(start).absolute())
        take(model, recipe, start)
    settings["hyperparameters"] = chosen.chosen()
    recipe.views(dataset, model)
    if not writes:
        return follow(out, settings, recipe, dataset, model, step=0)
    with files.held(out), disks.room_in(out, lambda: intact(out)):
        # Another training may have taken the folder in the meantime.
        check_free(out)
        files.sweep(out)
        # Before callbacks, which may want it.
        with files.kept(out / "run.json"):
            files.write_json(out / "run.json", settings)
            further = regime.further(out, settings)
        return run(out, settings, recipe, dataset, model, step=0, verbose=verbose, further=further)


def hyperparameters_of(recipe, start):
    """The hyperparameters of a run that another begins with, but for the length of its schedules.

    Raises:
        UserError: if it is of another recipe.
    """
    settings = read(start)
    if settings["recipe"] != recipe.name:
        raise UserError(f"expected a run of {recipe.name} to begin with, received {start}, one of {settings['recipe']}: "
                        "choose another, or train that recipe")
    return {key: value for key, value in settings["hyperparameters"].items() if key != STEPS}


def take(model, recipe, start):
    """Sets the weights of a model to those of a run, where their shapes are equal, and says which.

    Counters stay at 0, with which the new run begins: those of stages, of the images in a pool, of what an average or a
    Gaussian has seen.
    """
    source = open_run(start)[0]
    if len(source.weights) != len(model.weights):
        raise UserError(f"expected a run with {len(model.weights)} weights to begin with, received {start} with "
                        f"{len(source.weights)}: leave out what changes the networks")
    pairs = [(ours, theirs) for ours, theirs in zip(model.weights, source.weights, strict=True)
             if ours.path.rpartition("/")[2] not in COUNTERS]
    left = [f"{ours.path} {tuple(ours.shape)} for {tuple(theirs.shape)}" for ours, theirs in pairs
            if ours.shape != theirs.shape]
    for ours, theirs in pairs:
        if ours.shape == theirs.shape:
            ours.assign(theirs)
    note(f"begins with {len(pairs) - len(left)} of {len(pairs)} weights of {start}"
         + (f"; not with {', '.join(left)}" if left else ""))


def length(dataset, batch_size, epochs):
    """Function batches_per_step -> number of training steps of the run, see `recipes.given.Given`."""
    return lambda batches_per_step: epochs * dataset.steps(batch_size * batches_per_step)

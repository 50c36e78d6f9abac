"""Trains a recipe into a run folder, and resumes a run."""

import contextlib
import dataclasses
import datetime
import functools
import pathlib
import sys

import keras
import keras_tuner
import tensorflow as tf

from tfgen import data, disks, evaluation, files, recipes, seeds
from tfgen.attempts import Attempts
from tfgen.data.order import ORDER
from tfgen.detection import calibration
from tfgen.errors import UserError, check_positive, note
from tfgen.recipes.given import STEPS
from tfgen.runs import callbacks, checkpoints, drawing, field_drawing, strategies
from tfgen.runs.checkpoints import state
from tfgen.runs.doctor import doctor_of
from tfgen.runs.fitting import fit
from tfgen.runs.folder import (
    changes,
    check_free,
    described,
    determined,
    intact,
    load_data,
    load_model,
    open_run,
    read,
    read_history,
    save,
)
from tfgen.runs.quality import SampleQuality, quality_callbacks
from tfgen.runs.regime import Patience, Regime, end_of, go_back
from tfgen.runs.tensorboard import Board
from tfgen.serialization import computing_in
from tfgen.verbs.live import Live
from tfgen.verbs.table import verbs_of


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
        files.write_json(out / "run.json", settings)
        return _train(out, settings, recipe, dataset, model, step=0, verbose=verbose)


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
    """Sets the weights of a model to those of a run, where their shapes are equal, and says which."""
    source = open_run(start)[0]
    if len(source.weights) != len(model.weights):
        raise UserError(f"expected a run with {len(model.weights)} weights to begin with, received {start} with "
                        f"{len(source.weights)}: leave out what changes the networks")
    pairs = list(zip(model.weights, source.weights, strict=True))
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


def resume(out, epochs=None, verbose="auto", extend=False, force=False, strategy=None):
    """Continues a run from its last intact checkpoint: it ends, bit for bit, where the unbroken run ends.

    Args:
        out: the run folder.
        epochs: total number of epochs, counted from the start of the run; None keeps the recorded number.
        verbose: as in `fit`.
        extend: rescale schedules and stages to the new number of steps. Training continues at the current step of the
            rescaled schedules.
        force: go on although settings, data or versions of libraries have changed since the checkpoint.
        strategy: as for `train`; with another number of replicas, sums are rounded otherwise from there on.

    Raises:
        Failure: if another process of the strategy is gone.
        UserError: if the folder holds no run, if another process is training it, if its schedules end before `epochs`
            and `extend` is False, or for such a change without `force`.
    """
    out = pathlib.Path(out)
    strategy = strategy or tf.distribute.get_strategy()
    read(out)
    if not strategies.chief(strategy):
        return _resume(out, epochs, verbose, extend, force, strategy)
    with files.held(out):
        files.sweep(out)
        return _resume(out, epochs, verbose, extend, force, strategy)


def _resume(out, epochs, verbose, extend, force, strategy):
    settings = read(out)
    recipe, dataset = recipes.find(settings["recipe"]), load_data(settings)
    path, step = checkpoints.newest(out)
    kept = checkpoints.more(path) if path else {}
    if changed := changes(kept.get("run", {}), settings, dataset):
        told = f"found {', '.join(changed)}"
        if not force:
            raise UserError(f"expected in {out} what its checkpoint was trained with, {told}, with which it would not end "
                            "where the unbroken run ends: put it back, or go on with --force")
        note(f"{told} since the checkpoint of {out}")
    if path:
        # For checkpoints of earlier versions, which hold no states of random generators.
        keras.utils.set_random_seed((settings["seed"] + 1000003 * step) % 2**31)
        with strategy.scope():
            model = load_model(path)
        checkpoints.restore(model, path)
    else:
        model = started(settings, recipe, dataset, strategy)
    planned, end = kept.get("run", {}).get("hyperparameters", {}).get(STEPS), end_of(model)
    if (planned != settings["hyperparameters"].get(STEPS) and "run" in kept) or settings.get("stretched", end) != end:
        # It was killed between being stretched and its next checkpoint.
        extend, epochs = True, epochs or settings["epochs"]
        if planned is not None:
            settings["hyperparameters"][STEPS] = planned
    if epochs is not None:
        check_positive(epochs=epochs)
        model = lengthened(out, settings, recipe, dataset, model, epochs, extend)
    Regime(**settings.get("regime", {})).prepared(model)
    strategies.check(strategy, dataset, model, settings["batch_size"])
    if not strategies.chief(strategy):
        return follow(out, settings, recipe, dataset, model, step)
    before, now = (devices["replicas"] for devices in (settings.get("devices", {"replicas": 1}),
                                                       strategies.described(strategy)))
    if before != now:
        note(f"{out} was trained on {before} replicas and goes on with {now}: it ends where the unbroken run ends but for "
             "rounding")
    settings["devices"] = strategies.described(strategy)
    with disks.room_in(out, lambda: intact(out)):
        files.write_json(out / "run.json", settings)
        return _train(out, settings, recipe, dataset, model, step, verbose, kept.get("callbacks", {}))


def started(settings, recipe, dataset, strategy):
    """The model of a run with which it began, from its seed and from the run that it was told to begin with."""
    seeds.set_random(settings["seed"])
    with strategy.scope():
        model = born(settings, recipe, dataset)
    if "from" in settings:
        take(model, recipe, settings["from"])
    return model


def born(settings, recipe, dataset):
    """A new model of a run."""
    regime = Regime(**settings.get("regime", {}))
    with regime.building():
        model = recipe.model(dataset.spec, **settings["hyperparameters"])
    return regime.compiled(model, length(dataset, settings["batch_size"], settings["epochs"])(model.batches_per_step))


def lengthened(out, settings, recipe, dataset, model, epochs, extend):
    """The model of a run with a new total number of epochs; updates `settings`. Arguments and errors as for `resume`."""
    end = length(dataset, settings["batch_size"], epochs)(model.batches_per_step)
    planned = settings["hyperparameters"].get(STEPS, 0) or end_of(model)
    settings["epochs"] = epochs
    if not planned or planned == end:
        return model
    if not extend:
        told = f"the schedules of {out} end with step {planned}, {epochs} epochs with step {end}"
        if planned < end:
            raise UserError(f"{told}: add --extend (extend=True) to stretch them, or train a new run of that length")
        note(f"{told}: what comes later in them is left out; --extend fits them to the new end")
        return model
    if STEPS in settings["hyperparameters"]:
        settings["hyperparameters"][STEPS] = end
    with model.distribute_strategy.scope():
        stretched = born(settings, recipe, dataset)
    settings["stretched"] = end_of(stretched)
    for ours, theirs in zip(state(stretched), state(model), strict=True):
        ours.assign(theirs)
    return stretched


def follow(out, settings, recipe, dataset, model, step):
    """Trains in a process that is not the chief of its strategy and writes nothing; returns the model."""
    strategy, regime = model.distribute_strategy, Regime(**settings.get("regime", {}))
    checkpoint = callbacks.Checkpoint(out, steps=regime.checkpoint_steps, writes=False, within=step % dataset.steps(
        settings["batch_size"] * model.batches_per_step) > 0)
    with strategies.survivors(strategy, out):
        if not strategies.agreed(strategy, False):
            fit(model, dataset, recipe, settings["batch_size"], settings["epochs"], settings["seed"], step,
                order=settings.get("order", 1), steps_per_execution=settings["steps_per_execution"],
                callbacks=[callbacks.StopOnNaN(), strategies.Together(), checkpoint])
        strategies.agreed(strategy, False)  # Until the chief has finished, too.
    return model


def _train(out, settings, recipe, dataset, model, step, verbose, kept=None):
    """Fits from `step` on, then calibrates, saves, draws and measures; `kept`: what the checkpoint has kept of callbacks."""
    if verbose == "auto":
        # A progress bar in a terminal, one line per epoch in a log file.
        verbose = 1 if sys.stdout.isatty() else 2
    # Callbacks and figures share the verbs, which take seconds to trace.
    attempt, live = Attempts(), Live(model)
    quality = quality_callbacks(recipe, dataset, attempt, live)
    steps = dataset.steps(settings["batch_size"] * model.batches_per_step)
    regime = Regime(**settings.get("regime", {}))
    rows = [row for row in read_history(out) if row["epoch"] <= step // steps]
    pictures = pictures_of(out, dataset, settings["picture_every"], live)
    pictures.last = step // steps
    history = callbacks.History(out, rows, settings["picture_every"])
    patience = Patience(history, recipe.objective, regime.patience)
    doctors = dict(zip(("doctor",), doctor_of(model, out, rows, quality, attempt, live), strict=False))
    for name, value in (kept or {}).items():
        doctors[name].restore(value)
    strategy = model.distribute_strategy
    alone = strategies.processes(strategy) == 1
    # Processes read a checkpoint's values together: not when one of them is asked to, but at a step that all know.
    minutes = regime.checkpoint_minutes if alone else None
    checkpoint = callbacks.Checkpoint(out, regime.keep_checkpoints, regime.checkpoint_steps, minutes, history,
                                      recipe.objective, step % steps > 0, doctors, determined(settings))
    stopper = callbacks.StopOnInterrupt(checkpoint) if alone else contextlib.nullcontext()
    # Callbacks that reject non-finite losses come before callbacks that save.
    watching = [callbacks.StopOnNaN(), *quality, history, pictures, *doctors.values(), patience,
                *regime.further(out, settings)]
    if settings["tensorboard"]:
        watching.append(Board(out, settings["hyperparameters"], history, recipe.objective))
    watching += [checkpoint, stopper] if alone else [strategies.Together(), checkpoint]
    try:
        with stopper, strategies.survivors(strategy, out):
            over = strategies.agreed(strategy, patience.over)
            fit(model, dataset, recipe, settings["batch_size"], step // steps if over else settings["epochs"],
                settings["seed"], step, order=settings.get("order", 1),
                steps_per_execution=settings["steps_per_execution"], callbacks=watching, verbose=verbose)
    except callbacks.Interrupted:
        save(regime.finished(model), out)
        raise KeyboardInterrupt(f"stopped after step {int(model.optimizer.iterations.numpy())}; "
                                f"go on with `tfgen train --resume {out}`") from None
    if regime.keep == "best":
        go_back(out, model, history.rows, steps, recipe.objective)
    if regime.precision != "float32" or strategy.num_replicas_in_sync > 1:
        model = computing_in(model, "float32")
        live = Live(model)
    # The threshold is a weight of the model, so that it comes before saving.
    figures = attempt("threshold", calibrated, model, dataset, recipe, default={})
    save(model, out)
    for what, finisher in {"pictures of codes": functools.partial(drawing.draw_codes, out, live=live),
                           "figures": functools.partial(measured, live=live)}.items():
        figures |= attempt(what, finisher, model, dataset, recipe, default={})
    files.write_json(out / "metrics.json", figures)
    with strategies.survivors(strategy, out):
        strategies.agreed(strategy, False)
    return model


def pictures_of(out, dataset, every, live):
    """The callback that draws pictures of a training on a dataset."""
    if isinstance(dataset, data.Dataset):
        return drawing.Pictures(out, *drawing.examples(dataset), every, drawing.sources_of(dataset), live)
    return field_drawing.FieldPictures(out, dataset, every, live)


# Finishers: functions (model, dataset, recipe) -> entries of `metrics.json`, called once after the training.


def calibrated(model, dataset, recipe):
    """The threshold of an anomaly detector, from the validation split; sets it in the model."""
    return {"threshold": calibration.calibrate(model, dataset)} if "score" in verbs_of(model) else {}


def measured(model, dataset, recipe, live=None):
    """Figures on the validation split, with a comparison of samples if they are the recipe's objective.

    `live` as for `tfgen.evaluation.evaluate`.
    """
    samples = 10_000 if quality_callbacks(recipe, dataset) else 0
    return {"validation": evaluation.evaluate(model, dataset, recipe, "validation", samples=samples, live=live)}

"""Resumes a run: from its last intact checkpoint, or its beginning."""

import pathlib

import keras
import tensorflow as tf

from tfgen import disks, files, recipes, seeds
from tfgen.errors import UserError, check_positive, note
from tfgen.recipes.given import STEPS
from tfgen.runs import checkpoints, strategies
from tfgen.runs.checkpoints import state
from tfgen.runs.folder import changes, intact, load_data, load_model, read
from tfgen.runs.regime import Regime, end_of
from tfgen.runs.running import follow, run
from tfgen.runs.training import length, take
from tfgen.serialization import described, unlike


def resume(out, epochs=None, verbose="auto", extend=False, force=False, strategy=None):
    """Continues a run from its last intact checkpoint: it ends, bit for bit, where the unbroken run ends.

    Args:
        out: the run folder.
        epochs: total number of epochs, counted from the start of the run; None keeps the recorded number.
        verbose: as in `fit`.
        extend: rescale schedules and stages to the new number of steps. Training continues at the current step of the
            rescaled schedules.
        force: go on although settings, data, versions of libraries or oneDNN's kernels have changed since the checkpoint, or
            `extend` would make another model of it, for the recipe has changed.
        strategy: as for `train`; with another number of replicas, sums are rounded otherwise from there on.

    Raises:
        Failure: if another process of the strategy is gone.
        UserError: if the folder holds no run, if another process is training it, if its schedules end before `epochs`
            and `extend` is False, or for such a change without `force`, or if weights of another shape would be extended.
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
    if put_back(settings, kept.get("run"), model):
        extend, epochs = True, epochs or settings["epochs"]
    if epochs is not None:
        check_positive(epochs=epochs)
        model = lengthened(out, settings, recipe, dataset, model, step, epochs, extend, force)
    regime = Regime(**settings.get("regime", {}))
    regime.prepared(model)
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
        further = regime.further(out, settings)
        files.write_json(out / "run.json", settings)
        return run(out, settings, recipe, dataset, model, step, verbose, further, kept.get("callbacks", {}))


def started(settings, recipe, dataset, strategy):
    """The model of a run with which it began, from its seed and from the run that it was told to begin with."""
    seeds.set_random(settings["seed"])
    with strategy.scope():
        model = born(settings, recipe, dataset)
    if "from" in settings:
        take(model, recipe, settings["from"])
    return model


def born(settings, recipe, dataset, steps=None):
    """A new model of a run, whose rates end with a step; None: its last."""
    regime = Regime(**settings.get("regime", {}))
    with regime.building():
        model = recipe.model(dataset.spec, **settings["hyperparameters"])
    whole = length(dataset, settings["batch_size"], settings["epochs"])
    return regime.compiled(model, steps or whole(model.batches_per_step))


def put_back(settings, kept, model):
    """Whether a run was killed between being stretched and its next checkpoint; its schedules are then those of the
    checkpoint again.

    Args:
        settings: of the run, which are updated.
        kept: `folder.determined` of the checkpoint, or None.
        model: of the checkpoint.
    """
    planned, end = (kept or {}).get("hyperparameters", {}).get(STEPS), end_of(model)
    if (kept is None or planned == settings["hyperparameters"].get(STEPS)) and settings.get("stretched", end) == end:
        return False
    settings.pop("stretched", None)
    if planned is not None:
        settings["hyperparameters"][STEPS] = planned
    return True


def lengthened(out, settings, recipe, dataset, model, step, epochs, extend, force=False):
    """The model of a run, at a step, with a new total number of epochs; updates `settings`. Arguments and errors as for
    `resume`."""
    steps = dataset.steps(settings["batch_size"] * model.batches_per_step)
    # Who asks for more epochs of a run that patience has ended wants them.
    settings["patient_since"] = done = step // steps
    if step >= epochs * steps:
        # Its schedules stay those that it was trained with.
        begun, asked = " and a part of the next" * (step % steps > 0), step == epochs * steps
        note(f"{out} has made {done} epochs{begun}, {'as asked' if asked else f'more than {epochs}'}, and is not trained "
             "further")
        settings["epochs"] = done
        return model
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
    with model.distribute_strategy.scope():
        # Choices that a recipe draws are those of the run.
        seeds.set_random(settings["seed"])
        check_same(out, model, born(settings, recipe, dataset, end_of(model)), force)
        if STEPS in settings["hyperparameters"]:
            settings["hyperparameters"][STEPS] = end
        seeds.set_random(settings["seed"])
        stretched = born(settings, recipe, dataset)
    settings["stretched"] = end_of(stretched)
    for ours, theirs in zip(state(stretched), state(model), strict=True):
        ours.assign(theirs)
    return stretched


def check_same(out, model, again, force):
    """Tells of what a recipe builds otherwise than when a run began, as another version of it may without another number.

    Args:
        model: of the run.
        again: today's of its length.
        force: say it in a note.

    Raises:
        UserError: without `force`, or for variables of other shapes.
    """
    found = unlike(described(model), described(again))
    shapes = [[tuple(variable.shape) for variable in state(one)] for one in (model, again)]
    told = [f"{'/'.join(map(str, place))} {shown(had)} -> {shown(has)}" for place, (had, has) in found.items()]
    told = told or ["weights of other shapes"] * (shapes[0] != shapes[1])
    if not told:
        return
    told = f"found {', '.join(told[:3])}" + (f" and {len(told) - 3} more" if len(told) > 3 else "")
    if not force or shapes[0] != shapes[1]:
        raise UserError(f"expected the recipe to build the model of {out} anew, {told}, for the recipe has changed: extend "
                        "it with the version of tfgen that began it, " + (
                            "or go on with --force" if shapes[0] == shapes[1] else "or train a new run"))
    note(f"{told} in the model of {out}, for the recipe has changed since")


def shown(value):
    """A part of a configuration as a word of a message."""
    return str(value)[:40]

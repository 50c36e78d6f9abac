"""Runs: train, resume and open a run folder, which holds settings, checkpoints, pictures and figures of one training."""

import datetime
import math
import pathlib
import platform
import sys
import zipfile

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from tfgen import callbacks, data, disks, doctor, evaluation, files, latent, recipes, seeds, verbs
from tfgen.attempts import Attempts
from tfgen.data.dataset import ORDER
from tfgen.detection import calibration
from tfgen.errors import UserError, note
from tfgen.models.base.adversarial import AdversarialModel
from tfgen.recipes.given import STEPS
from tfgen.serving import export


def versions():
    """Versions of tfgen, Python and the libraries that results depend on."""
    import tfgen

    return {"tfgen": tfgen.__version__, "python": platform.python_version(), "tensorflow": tf.__version__,
            "keras": keras.__version__, "numpy": np.__version__}


def train(recipe, dataset, out, epochs=20, values=None, batch_size=None, seed=0, tensorboard=False, picture_every=1,
          steps_per_execution=16, verbose="auto", command=None):
    """Trains a recipe into a new run folder.

    Args:
        recipe: a recipe's name or `Recipe`.
        dataset: a `tfgen.data.Dataset`, or a name or path for `tfgen.data.load`.
        out: the run folder; must not hold a run. A run without a checkpoint or `model.keras` is overwritten.
        epochs: passes over the training data, >= 1.
        values: {hyperparameter: value}; the other hyperparameters keep the recipe's defaults.
        batch_size: images per optimizer update. A model with `critic_steps=k` consumes `k * batch_size` images per
            training step. None uses the recipe's value.
        seed: seed of weights, noise and data order, 0 ... 2^63 - 1.
        tensorboard: also write TensorBoard's event files to `out/tensorboard`.
        picture_every: number of epochs between pictures.
        steps_per_execution: upper bound for Keras' `steps_per_execution`. The largest value that divides the number of
            steps per epoch is used.
        verbose: as in `fit`.
        command: command to record in `run.json`; None records `sys.argv`.

    Returns:
        The trained model.

    Raises:
        UserError: for invalid arguments, data or folder; nothing is written then.
    """
    recipe = recipes.find(recipe) if isinstance(recipe, str) else recipe
    out = pathlib.Path(out)
    check_free(out)
    batch_size = recipe.batch_size if batch_size is None else batch_size
    check_positive(epochs=epochs, batch_size=batch_size)
    seeds.folded(seed)
    dataset = data.load(dataset) if isinstance(dataset, (str, pathlib.Path)) else dataset
    settings = {
        "recipe": recipe.name, "hyperparameters": None, "data": dataset.source, "spec": dataset.spec.to_json(),
        "reading": data.reading(dataset.source),
        "seed": seed, "order": ORDER, "epochs": epochs, "batch_size": batch_size, "tensorboard": tensorboard,
        "picture_every": picture_every, "steps_per_execution": steps_per_execution, "command": command or sys.argv,
        "versions": versions(), "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    seeds.set_random(seed)
    model, chosen = recipe.build_with(keras_tuner.HyperParameters(), dataset.spec, values,
                                      length(dataset, batch_size, epochs))
    settings["hyperparameters"] = chosen.chosen()
    recipe.views(dataset, model)
    with files.held(out), disks.room_in(out, lambda: intact(out)):
        # Another training may have taken the folder in the meantime.
        check_free(out)
        files.sweep(out)
        files.write_json(out / "run.json", settings)
        return _fit(out, settings, recipe, dataset, model, step=0, verbose=verbose)


def intact(out):
    """Advice for a run that ran out of disk space: which checkpoint is intact and how to continue."""
    path, step = callbacks.newest_checkpoint(out)
    return (f"the checkpoint of step {step} is whole: make room, then go on with `tfgen train --resume {out}`" if path else
            "there was no checkpoint yet: make room, then train again")


def check_free(out):
    """Raises a `UserError` if `out` is a file or holds a run with a checkpoint or `model.keras`."""
    if (out / "model.keras").exists() or callbacks.newest_checkpoint(out)[0]:
        raise UserError(f"{out} holds a run already; go on with `tfgen train --resume {out}` or choose another --out")
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder for --out, {out} is a file")


def length(dataset, batch_size, epochs):
    """Function batches_per_step -> number of training steps of the run, see `recipes.given.Given`."""
    return lambda batches_per_step: epochs * dataset.steps(batch_size * batches_per_step)


def resume(out, epochs=None, verbose="auto", extend=False):
    """Continues a run from its last checkpoint.

    Args:
        out: the run folder.
        epochs: total number of epochs, counted from the start of the run; None keeps the recorded number.
        verbose: as in `fit`.
        extend: rescale schedules and stages to the new number of steps. Training continues at the current step of the
            rescaled schedules.

    Raises:
        UserError: if the folder holds no run, if another process is training it, or if its schedules end before `epochs`
            and `extend` is False.
    """
    out = pathlib.Path(out)
    read(out)
    with files.held(out):
        files.sweep(out)
        return _resume(out, epochs, verbose, extend)


def _resume(out, epochs, verbose, extend):
    settings = read(out)
    recipe, dataset = recipes.find(settings["recipe"]), load_data(settings)
    path, step = callbacks.newest_checkpoint(out)
    # Seed states are not in .keras files: noise after a resume follows from (seed, step).
    keras.utils.set_random_seed((settings["seed"] + 1000003 * step) % 2**31)
    model = load_model(path) if path else recipe.model(dataset.spec, **settings["hyperparameters"])
    if epochs is not None:
        check_positive(epochs=epochs)
        model = lengthened(out, settings, recipe, dataset, model, epochs, extend)
    with disks.room_in(out, lambda: intact(out)):
        files.write_json(out / "run.json", settings)
        return _fit(out, settings, recipe, dataset, model, step, verbose)


def lengthened(out, settings, recipe, dataset, model, epochs, extend):
    """The model of a run with a new total number of epochs; updates `settings`. Arguments and errors as for `resume`."""
    planned = settings["hyperparameters"].get(STEPS, 0)
    end = length(dataset, settings["batch_size"], epochs)(model.batches_per_step)
    settings["epochs"] = epochs
    if not planned or planned == end:
        return model
    if not extend:
        told = f"the schedules of {out} end with step {planned}, {epochs} epochs with step {end}"
        if planned < end:
            raise UserError(f"{told}: add --extend (extend=True) to stretch them, or train a new run of that length")
        note(f"{told}: what comes later in them is left out; --extend fits them to the new end")
        return model
    settings["hyperparameters"][STEPS] = end
    stretched = recipe.model(dataset.spec, **settings["hyperparameters"])
    for ours, theirs in zip(state(stretched), state(model), strict=True):
        ours.assign(theirs)
    return stretched


def state(model):
    """All weights of a model and variables of its optimizers."""
    players = [getattr(model, name) for name in ("optimizer", "critic_optimizer") if hasattr(model, name)]
    return [*model.weights, *(v for optimizer in players for v in optimizer.variables)]


def _fit(out, settings, recipe, dataset, model, step, verbose):
    """Fits from `step` on, then writes the final pictures, `model.keras` and `metrics.json`."""
    if verbose == "auto":
        # A progress bar in a terminal, one line per epoch in a log file.
        verbose = 1 if sys.stdout.isatty() else 2
    batch_size, seed, epochs = settings["batch_size"], settings["seed"], settings["epochs"]
    rows = batch_size * model.batches_per_step
    steps = dataset.steps(rows)
    # If steps_per_execution does not divide the steps per epoch, Keras runs past the end of the epoch.
    whole = math.gcd(steps, step % steps)
    model.steps_per_execution = max(n for n in range(1, settings["steps_per_execution"] + 1) if whole % n == 0)
    view, held_out = recipe.views(dataset, model)
    history = callbacks.History(out, [row for row in callbacks.read_history(out) if row["epoch"] <= step // steps],
                                settings["picture_every"])
    checkpoint = callbacks.Checkpoint(out)
    stopper = callbacks.StopOnInterrupt(checkpoint)
    images, labels = examples(dataset)
    attempt = Attempts()
    quality = quality_callbacks(recipe, dataset, attempt)
    # Callbacks that reject non-finite losses come before callbacks that save.
    drawn = callbacks.Pictures(out, images, labels, settings["picture_every"], sources_of(dataset))
    extra = [callbacks.StopOnNaN(), *quality, history, checkpoint, drawn, stopper]
    extra += doctor_of(model, out, history.rows, quality, attempt)
    if settings["tensorboard"]:
        extra.append(keras.callbacks.TensorBoard(str(out / "tensorboard")))
    validation = dataset.batches("validation", batch_size, held_out)
    try:
        with stopper:
            while step < steps * epochs:
                # First complete the interrupted epoch with its remaining batches.
                rest = steps - step % steps
                last = epochs if rest == steps else step // steps + 1
                model.fit(dataset.train(rows, seed, view, step, model.augmentation, settings.get("order", 1)), epochs=last,
                          initial_epoch=step // steps, steps_per_epoch=rest, validation_data=validation,
                          callbacks=extra, verbose=verbose, shuffle=False)
                step = last * steps
    except callbacks.Interrupted:
        save(model, out)
        raise KeyboardInterrupt(f"stopped after step {int(model.optimizer.iterations)}; "
                                f"go on with `tfgen train --resume {out}`") from None
    detects = callable(getattr(model, "score", None))
    threshold = attempt("threshold", calibration.calibrate, model, dataset) if detects else None
    save(model, out)
    attempt("pictures of codes", draw_codes, model, dataset, out)
    figures = evaluation.evaluate(model, dataset, recipe, "validation", samples=10_000 if quality else 0)
    files.write_json(out / "metrics.json", ({"threshold": threshold} if threshold else {}) | {"validation": figures})
    return model


def save(model, out):
    """Writes `model.keras`."""
    with files.written_aside(out / "model.keras") as aside:
        model.save(aside)


def examples(dataset, count=10, split="validation"):
    """The first `count` images of a split, float32 in [0, 1], and their labels or None."""
    labels = dataset.labels(split)
    return dataset.images(split)[:count].astype("float32") / 255.0, labels[:count] if labels is not None else None


def sources_of(dataset, count=10, split="validation"):
    """Translation sources of the images of `examples`, float32 in [0, 1]; None if the data has no sources."""
    return None if dataset.spec.source_shape is None else dataset.sources(split, count).astype("float32") / 255.0


def draw_codes(model, dataset, out, count=2000):
    """Draws a trained model's latent space: codes, 2-D manifold, interpolations, samples of an autoencoder."""
    live = verbs.Live(model)
    images, labels = examples(dataset, count)
    if "encode" not in live.names or len(images) < 2:
        return
    options = {"label": labels} if "label" in live.options["encode"] else {}
    latent.plot_codes(live, images, labels, out / "latent.png", class_names=dataset.spec.class_names, **options)
    if live.latent_shape == (2,) and "decode" in live.names:
        latent.manifold(live, path=out / "manifold.png")
    if "decode" in live.names:
        pairs = min(6, len(images) // 2)
        latent.interpolate(live, images[:pairs], images[pairs:2 * pairs], path=out / "interpolation.png")
    if "sample" not in live.names and "decode" in live.names:
        codes = live("encode", examples(dataset, 5000, "train")[0])
        latent.sample_autoencoder(live, codes, np.arange(64), path=out / "samples-mixture.png")


def doctor_of(model, out, rows, quality, attempt):
    """[`Doctor`] for an adversarial model, else []; it counts modes if the quality extractor predicts classes."""
    extractor = attempt("a feature extractor", quality[0].prepared) if quality and hasattr(model, "sample") else None
    modes = doctor.classifier_modes(extractor) if extractor is not None and extractor.num_classes else None
    return [doctor.Doctor(out, modes, rows)] if isinstance(model, AdversarialModel) else []


def quality_callbacks(recipe, dataset, attempt=None):
    """[`SampleQuality`] if it is the recipe's objective and the data set is large enough, else [].

    Args:
        recipe, dataset: recipe and data set of the run.
        attempt: an `Attempts` that records why the measurement is omitted, or None.
    """
    if recipe.objective[0] != callbacks.SampleQuality.NAME:
        return []
    reason = callbacks.SampleQuality.unmeasurable(dataset)
    if reason and attempt is not None:
        attempt.leave_out(callbacks.SampleQuality.NAME, reason)
    return [] if reason else [callbacks.SampleQuality(dataset)]


def read(folder):
    """The settings of a run.

    Raises:
        UserError: if the folder holds no run.
    """
    path = pathlib.Path(folder) / "run.json"
    if not path.exists() and export.is_saved_model(folder):
        raise UserError(f"expected a run folder, {folder} is a SavedModel: give the run that it was exported from")
    if not path.exists():
        raise UserError(f"{folder} holds no run (no run.json there); make one with `tfgen train RECIPE --out {folder}`")
    settings = files.read_json(path)
    known = settings if isinstance(settings, dict) else {}
    missing = {"recipe", "hyperparameters", "data", "seed", "epochs", "batch_size"} - set(known)
    if missing:
        raise UserError(f"expected a run's settings in {path}, it lacks {', '.join(sorted(missing))}: restore it")
    return settings


def load_data(settings):
    """Loads the training data set named in the record of a run or export; prints a note if it has changed since."""
    dataset = data.load(**settings["data"])
    if "spec" in settings and (line := dataset.spec.changes_since(settings["spec"])):
        note(line)
    return dataset


def load_model(path):
    """A model from a `.keras` file.

    Raises:
        UserError: if the file is missing or broken.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(f"expected a model in {path}, received a file that is broken or none: restore it or, in a run, "
                        "remove it, so that the newest checkpoint serves")
    try:
        return keras.models.load_model(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"expected a model in {path}: {str(error).splitlines()[0]}") from error


def open_run(folder):
    """(model, settings) of a finished or unfinished run."""
    folder = pathlib.Path(folder)
    settings = read(folder)
    path = folder / "model.keras"
    if not path.exists():
        path = callbacks.newest_checkpoint(folder)[0]
    if path is None:
        raise UserError(f"{folder} has no trained model yet; go on with `tfgen train --resume {folder}`")
    return load_model(path), settings


def open_verbs(path):
    """The verbs of a run folder or a SavedModel folder: `verbs.Live` or `serving.export.Served`.

    Raises:
        UserError: if the path is neither.
    """
    path = pathlib.Path(path)
    if export.is_saved_model(path):
        return export.Served(path)
    if not path.exists():
        raise UserError(f"there is no {path}; expected a run folder or a SavedModel folder")
    model, settings = open_run(path)
    live = verbs.Live(model)
    live.tell(settings)
    return live


def check_positive(**numbers):
    """Raises a `UserError` for a number below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise UserError(f"{name} expects at least 1, received {number}")

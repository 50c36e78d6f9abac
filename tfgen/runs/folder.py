"""The files of a run folder: settings, history, checkpoints, models."""

import csv
import pathlib
import platform
import zipfile

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port  # whether oneDNN's kernels are on is in no public module

from tfgen import data, files
from tfgen._version import __version__
from tfgen.errors import UserError, note, require
from tfgen.recipes.given import STEPS
from tfgen.runs import checkpoints
from tfgen.serialization import computing_in
from tfgen.serving import saved_model


def read_history(folder):
    """Rows of `history.csv`, one {name: number} per epoch, without names that it has no value of; [] without the file.

    Raises:
        UserError: if the file contains other values than numbers, or no epochs.
    """
    path = pathlib.Path(folder) / "history.csv"
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            # Earlier versions wrote nan for what was not measured.
            return [{"epoch": int(row.pop("epoch")),
                     **{key: float(value) for key, value in row.items() if value and value != "nan"}}
                    for row in csv.DictReader(file)]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"expected numbers in {path}, it cannot be read ({error}): restore it, or remove it and begin the "
                        "history anew") from None


def library_versions():
    """Versions of tfgen, Python and the libraries that results depend on."""
    return {"tfgen": __version__, "python": platform.python_version(), "tensorflow": tf.__version__,
            "keras": keras.__version__, "numpy": np.__version__}


def described(recipe, dataset, hyperparameters):
    """The part of a run's settings that says what its model is: the recipe's name, hyperparameters, data, versions."""
    return {"recipe": recipe.name, "hyperparameters": hyperparameters, "data": dataset.source,
            "spec": dataset.spec.to_json(), "reading": data.reading(dataset.source), "versions": library_versions()}


# Of the settings of a run, those that determine its training.
DETERMINING = ("recipe", "hyperparameters", "data", "content", "seed", "order", "batch_size")
OF_REGIME = ("accumulate", "clip_norm", "deterministic", "keep", "patience", "precision", "schedule", "scheduled", "warmup")
LIBRARIES = ("tfgen", "tensorflow", "keras", "numpy")


def kernels():
    """Whether oneDNN's kernels are on, which round otherwise than others: {the variable that switches them: "1" or "0"}."""
    return {"TF_ENABLE_ONEDNN_OPTS": str(int(_pywrap_util_port.IsMklEnabled()))}


def determined(settings):
    """The settings that determine a training, versions of libraries and whether oneDNN's kernels are on, as a checkpoint
    keeps them."""
    regime = settings.get("regime", {})
    return {key: settings[key] for key in DETERMINING if key in settings} | {
        "regime": {key: regime[key] for key in OF_REGIME if key in regime}, "versions": library_versions(), **kernels()}


def changes(kept, settings, dataset):
    """["FIELD BEFORE -> NOW"] of what determines a training and has changed since a checkpoint; [] where all is equal.

    Args:
        kept: `determined` of the checkpoint.
        settings: of the run.
        dataset: as it is now.
    """
    now, found = determined(settings) | {"content": dataset.digest()}, []
    for key, before in kept.items():
        if isinstance(before, dict):
            # Lengthened runs have another number of steps.
            names = LIBRARIES if key == "versions" else sorted({*before, *now[key]} - {STEPS})
            found += [f"{name} {before.get(name)} -> {now[key].get(name)}" for name in names
                      if before.get(name) != now[key].get(name)]
        elif before != now.get(key):
            found.append(f"{'images or labels' if key == 'content' else key} {before} -> {now.get(key)}")
    return found


def origin(settings):
    """What an export records of a run's settings: those of `described`, without paths of this computer."""
    about = {key: settings[key] for key in ("recipe", "spec", "hyperparameters", "versions")}
    return about | {"data": data.portable(settings["data"]),
                    "reading": settings.get("reading", data.reading(settings["data"]))}


def intact(out):
    """Advice for a run that ran out of disk space: which checkpoint is intact and how to continue."""
    path, step = checkpoints.newest(out)
    return (f"the checkpoint of step {step} is whole: make room, then go on with `tfgen train --resume {out}`" if path else
            "there was no checkpoint yet: make room, then train again")


def check_free(out):
    """Raises a `UserError` if `out` is a file, holds a run with a checkpoint or `model.keras`, or files of something else
    by the names of a run's."""
    if (out / "model.keras").exists() or checkpoints.all_of(out):
        raise UserError(f"{out} holds a run already; go on with `tfgen train --resume {out}` or choose another --out")
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder for --out, {out} is a file")
    if not (out / "run.json").exists():
        taken = [name for name in ("history.csv", "metrics.json", "curves.png") if (out / name).exists()]
        require(not taken, f"expected a new folder or one of a run for --out, found {' and '.join(taken)} in {out}: choose "
                           "another")


def save(model, out):
    """Writes `model.keras`."""
    with files.written_aside(out / "model.keras") as aside:
        model.save(aside)


def read(folder):
    """The settings of a run.

    Raises:
        UserError: if the folder holds no run.
    """
    path = pathlib.Path(folder) / "run.json"
    if not path.exists() and saved_model.is_saved_model(folder):
        raise UserError(f"expected a run folder, {folder} is a SavedModel: give the run that it was exported from")
    if not path.exists():
        raise UserError(f"{folder} holds no run (no run.json there); make one with `tfgen train RECIPE --out {folder}`")
    settings = files.read_json(path)
    known = settings if isinstance(settings, dict) else {}
    missing = {"recipe", "hyperparameters", "data", "seed", "epochs", "batch_size"} - set(known)
    if missing:
        raise UserError(f"expected a run's settings in {path}, it lacks {', '.join(sorted(missing))}: restore it")
    return settings


def _left_gaps(spec, record):
    """Whether the classes of a record are the numbers 0 to K - 1 of which those of `spec` are some, called by them: earlier
    versions did not renumber them."""
    names, count = spec.class_names, record.get("num_classes")
    return record.get("class_names") == [] and 0 < len(names) < (count or 0) and all(
        name.isdecimal() and int(name) < count for name in names)


def load_data(settings):
    """Loads the training data set named in the record of a run or export, with the labels that it was trained with; prints a
    note if it has changed since."""
    dataset, record = data.load(**settings["data"]), settings.get("spec")
    if record and _left_gaps(dataset.spec, record):
        dataset = dataset.with_gaps(record["num_classes"])
    if record and (line := dataset.spec.changes_since(record)):
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
        path = checkpoints.newest(folder)[0]
    if path is None:
        raise UserError(f"{folder} has no trained model yet; go on with `tfgen train --resume {folder}`")
    model = load_model(path)
    # Checkpoints compute as the training does.
    in_float32 = path.name == "model.keras" or settings.get("regime", {}).get("precision", "float32") == "float32"
    return model if in_float32 else computing_in(model, "float32"), settings

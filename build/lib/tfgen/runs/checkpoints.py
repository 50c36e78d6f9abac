"""Checkpoints: all that a training goes on from, bit for bit, in one file whose name holds its checksum.

`checkpoints/step-STEP-SHA.keras` is a `.keras` file (config, weights, variables of the optimizers) with two further members:
variables that such files leave out (states of random generators, sums of metrics within an epoch), and what determines the
training and what callbacks know, as JSON.
SHA is the beginning of the file's SHA-256, so that a truncated or changed file is told from a good one.
`checkpoints/best.keras` is a copy of that of the best epoch.
"""

import io
import json
import pathlib
import re
import shutil
import struct
import zipfile
import zlib

import keras
import numpy as np

from tfgen import files
from tfgen.errors import UserError, note

VARIABLES, MORE = "tfgen_variables.npz", "tfgen_run.json"
DIGITS = 16  # of the checksum, hexadecimal
BEST = "best.keras"


def generators(part, path="", seen=None):
    """{path of attributes: state} of the random generators in a model's parts that are no layers, such as penalties and
    likelihoods."""
    seen = set() if seen is None else seen
    found = {}
    # Lists in which Keras has the same ones come last.
    for name, value in sorted(vars(part).items(), key=lambda pair: pair[0].startswith("_")):
        several = enumerate(value) if isinstance(value, (list, tuple)) else value.items() if isinstance(value, dict) else (
            [("", value)])
        for key, one in several:
            if id(one) in seen:
                continue
            seen.add(id(one))
            place = "/".join(filter(None, (path, name, str(key))))
            if isinstance(one, keras.random.SeedGenerator):
                found[place] = one.state
            elif type(one).__module__.startswith("tfgen.") and hasattr(one, "__dict__"):
                found |= generators(one, place, seen)
    return found


def unsaved(model):
    """{name: variable} of the variables of a training that a `.keras` file leaves out, in an order that the model's config
    determines. The name is the place in that order and the owner: a metric, a layer or a path of attributes."""
    parts = generators(model)
    owners = {id(variable): path for path, variable in parts.items()}
    owners |= {id(variable): variable.path for variable in model.metrics_variables}
    for layer in model._flatten_layers(include_self=False):
        # Numbers that Keras gives to layers count those of a process.
        owners |= {id(generator.state): re.sub(r"_\d+$", "", layer.name) for generator in layer._seed_generators}
    found = {id(variable): variable for variable in (*model.variables, *model.metrics_variables, *parts.values())}
    for variable in model.weights:
        found.pop(id(variable), None)
    return {f"{place}-{owners.get(key, 'variable')}": found[key] for place, key in enumerate(found)}


def state(model):
    """All variables of a training: weights, those of the optimizers, and those that a `.keras` file leaves out."""
    players = [getattr(model, name) for name in ("optimizer", "critic_optimizer") if hasattr(model, name)]
    return [*model.weights, *(v for optimizer in players for v in optimizer.variables), *unsaved(model).values()]


def digest(path):
    """The beginning of a file's SHA-256, in hexadecimal digits."""
    return files.digest(path)[:DIGITS]


def states(model):
    """{name: array} of the values of `unsaved`; all processes of a training have to read them together."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in unsaved(model).items()}


def write(folder, model, more=None, best=False, read=None):
    """Writes a checkpoint of a model, aside at first; returns its path.

    Args:
        folder: pathlib.Path of the checkpoints.
        more: a dict of JSON types to keep with it.
        best: whether to write it as the best one, too. That comes first: of a training killed in between, the epoch is made
            again, to the same end.
        read: `states` of the model, if they are read already.

    Raises:
        DiskFull: if the disk is full; earlier checkpoints stay.
    """
    arrays = io.BytesIO()
    np.savez(arrays, **(states(model) if read is None else read))
    plain = path = folder / f"step-{int(model.optimizer.iterations.numpy()):09d}.keras"

    def named(aside):
        nonlocal path
        path = plain.with_stem(f"{plain.stem}-{digest(aside)}")
        return path

    with files.written_aside(plain, named) as aside:
        model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(VARIABLES, arrays.getvalue())
            archive.writestr(MORE, json.dumps(more or {}))
        if best:
            with files.written_aside(folder / BEST) as copy:
                shutil.copyfile(aside, copy)
    return path


def step_of(path):
    return int(path.stem.split("-")[1])


def intact(path):
    """Whether a checkpoint is what was written; one without a checksum in its name need only be a whole archive."""
    parts = path.stem.split("-")
    if len(parts) == 3:
        return digest(path) == parts[2]
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error):
        return False


def all_of(folder):
    """Paths of the checkpoints of a run, the newest last."""
    return sorted((pathlib.Path(folder) / "checkpoints").glob("step-*.keras"), key=step_of)


def newest(folder):
    """(path, step) of the newest intact checkpoint of a run, or (None, 0); says which ones are damaged."""
    for path in reversed(all_of(folder)):
        if intact(path):
            return path, step_of(path)
        note(f"{path} is damaged (its checksum differs): the one before it is taken, or, without one, the beginning")
    return None, 0


def keep(folder, newest, count):
    """Removes all but `newest` and the `count` - 1 before it; the best one stays.

    Others of its step or later ones are damaged, or of a continuation that this one replaces.
    """
    others = sorted((path for path in folder.glob("step-*.keras") if path != newest), key=step_of)
    older = [path for path in others if step_of(path) < step_of(newest)]
    files.settle(folder)
    for path in [*older[:max(0, len(older) + 1 - count)], *others[len(older):]]:
        path.unlink()


def more(path):
    """The dict that `write` has kept with a checkpoint; {} of a checkpoint of an earlier version."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(MORE)) if MORE in archive.namelist() else {}


def restore(model, path):
    """Sets the variables that a `.keras` file leaves out to those of a checkpoint, if it has them.

    Raises:
        UserError: if the checkpoint is of a model with other variables, by their names, number or shapes.
    """
    with zipfile.ZipFile(path) as archive:
        if VARIABLES not in archive.namelist():
            note(f"{path} is of an earlier version, without the states of random generators: noise begins anew")
            return
        with np.load(io.BytesIO(archive.read(VARIABLES))) as arrays:
            values, variables = {name: arrays[name] for name in arrays.files}, unsaved(model)
    # Those of the first version have no names.
    expected = [f"arr_{place}" if "arr_0" in values else name for place, name in enumerate(variables)]
    shapes = [tuple(variable.shape) for variable in variables.values()]
    if list(values) != expected or [value.shape for value in values.values()] != shapes:
        wrong = [f" ({had} for {name})" for name, had in zip(expected, values) if name != had][:1] or [""]
        raise UserError(f"expected a checkpoint with {len(variables)} variables besides the weights, {path} has "
                        f"{len(values)}, or others{wrong[0]}: it is of another version of tfgen, go on with that one")
    for variable, value in zip(variables.values(), values.values(), strict=True):
        variable.assign(value)

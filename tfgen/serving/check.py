"""Checks exports in TensorFlow's C++ loader: every signature's outputs, its speed, and the size of the export."""

import dataclasses
import pathlib

import numpy as np

from tfgen import files
from tfgen.errors import Failure, UserError
from tfgen.serving import examples
from tfgen.serving.export import difference, reference
from tfgen.serving.native import LoadError
from tfgen.serving.saved_model import ABOUT, DEFAULT, export_paths, tensors
from tfgen.verbs import VERBS

TIMED_BATCH_SIZES = (1, 64)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a check says of one signature.

    Attributes:
        signature: its name.
        inputs: {input: shape of one row}.
        difference: largest difference of its outputs from the model's, absolute up to values of 1, relative above.
        milliseconds: {batch size: median milliseconds per row}.
    """

    signature: str
    inputs: dict
    difference: float
    milliseconds: dict


def versions(path):
    """Folders of the SavedModels of an export: `path` itself, or every version in it.

    Raises:
        UserError: without a SavedModel.
    """
    path = pathlib.Path(path)
    found = [path] if (path / "saved_model.pb").exists() else list(export_paths(path).values())
    if not found:
        raise UserError(f"{path} holds no SavedModel; export one with `tfgen export RUN --to {path}`")
    return found


def megabytes(path):
    """Size of a folder's files in MB (10^6 bytes)."""
    return sum(file.stat().st_size for file in pathlib.Path(path).rglob("*") if file.is_file()) / 1e6


def check(path, loader, live=None, timed=TIMED_BATCH_SIZES, seconds=0.5):
    """Runs every signature of a SavedModel in TensorFlow's C++ loader and compares its outputs with the model's.

    Args:
        path: folder of the SavedModel.
        loader: `serving.native.Loader`.
        live: `verbs.live.Live` of the model; None: outputs are compared with those that `export` has kept.
        timed: batch sizes for which to measure the time.
        seconds: least time of each of these measurements, after a first run that is not counted.

    Returns:
        One `Checked` per signature.

    Raises:
        UserError: for an export without examples, if `live` is None.
        Failure: if TensorFlow cannot load the SavedModel, or cannot run a signature.
    """
    signatures = tensors(path)
    kept = examples.read(path) if live is None else reference(live, [name for name in signatures if name != DEFAULT])
    if kept is None:
        raise UserError(f"expected examples of the model's outputs in {path}, it has none: give the run, with --run")
    inputs_of, wanted_of = ({name: given[_verb(name, given)] for name in signatures} for given in kept)
    try:
        loader.load(path)
        served_of = outputs(loader, signatures, inputs_of)
        return [Checked(name, {key: array.shape[1:] for key, array in inputs_of[name].items()},
                        max(difference(served_of[name][key], wanted) for key, wanted in wanted_of[name].items()),
                        {rows: _milliseconds(loader, signatures[name], inputs_of[name], rows, seconds) for rows in timed})
                for name in signatures]
    except LoadError as error:
        raise Failure(f"TensorFlow's C++ loader fails with {path}: {error}") from None


def _verb(name, known):
    """The verb of a signature; the default one is the first verb of the table."""
    return next(verb for verb in VERBS if verb in known) if name == DEFAULT else name


def outputs(loader, signatures, inputs_of):
    """Outputs of the SavedModel in a loader.

    Args:
        loader: `serving.native.Loader` that has loaded it.
        signatures: `serving.saved_model.tensors` of it.
        inputs_of: {signature: {input: array}}.

    Returns:
        {signature: {output: array}}.
    """
    # One run for all: TensorFlow optimises the graph anew for every set of fetches.
    feeds = {signatures[name][0][key]: array for name, inputs in inputs_of.items() for key, array in inputs.items()}
    made = loader.run(feeds, {(name, key): tensor for name in inputs_of for key, tensor in signatures[name][1].items()})
    return {name: {key: made[name, key] for key in signatures[name][1]} for name in inputs_of}


def _milliseconds(loader, signature, inputs, rows, seconds):
    """Median milliseconds per row of a signature (its tensors) at a batch size."""
    given, made = signature
    feeds = {given[key]: np.take(array, np.arange(rows), axis=0, mode="wrap") for key, array in inputs.items()}
    return 1e3 * loader.seconds(feeds, made, seconds) / rows


def tolerance_of(path):
    """Largest difference that an export may have from its model, as its record says."""
    record = pathlib.Path(path) / ABOUT
    return (files.read_json(record) if record.exists() else {}).get("tolerance", 1e-4)


def table(path, rows):
    """Lines of text: size of the export, then one line per signature."""
    sizes = list(rows[0].milliseconds) if rows else []
    head = ["signature", "inputs", "difference", *(f"ms/row at {size}" for size in sizes)]
    body = [[row.signature, ", ".join(f"{key} ({', '.join(map(str, ('B', *shape)))})" for key, shape in row.inputs.items()),
             f"{row.difference:.1e}", *(f"{row.milliseconds[size]:.3g}" for size in sizes)] for row in rows]
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]
    return [f"{path}: {megabytes(path):.2f} MB", *("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                                                   for line in [head, *body])]

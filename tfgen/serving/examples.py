"""Example inputs and the model's outputs for them, kept with an export so that it can be checked alone."""

import pathlib

import numpy as np

FILE = "assets.extra/tfgen_examples.npz"


def write(path, inputs_of, outputs_of):
    """Writes examples of an export.

    Args:
        path: folder of the SavedModel.
        inputs_of, outputs_of: {signature: {input or output: array}}.
    """
    arrays = {f"{signature}/{kind}/{key}": array for kind, by_signature in (("inputs", inputs_of), ("outputs", outputs_of))
              for signature, given in by_signature.items() for key, array in given.items()}
    file = pathlib.Path(path) / FILE
    file.parent.mkdir(exist_ok=True)
    np.savez_compressed(file, **arrays)


def read(path):
    """(inputs, outputs) of the examples of an export, {signature: {input or output: array}} each; None without examples."""
    file = pathlib.Path(path) / FILE
    if not file.exists():
        return None
    kinds = {"inputs": {}, "outputs": {}}
    with np.load(file) as arrays:
        for name in arrays.files:
            signature, kind, key = name.split("/")
            kinds[kind].setdefault(signature, {})[key] = arrays[name]
    return kinds["inputs"], kinds["outputs"]

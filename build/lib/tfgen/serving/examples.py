"""What is kept with an export: example inputs and the model's outputs for them, to check it alone, and pictures.

Pictures are images of the model's data, and their sources and labels, so that a page has some to choose from on a machine
without that data.
"""

import pathlib

import numpy as np

FILE = "assets.extra/tfgen_examples.npz"
PICTURES = "assets.extra/tfgen_pictures.npz"


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


def write_pictures(path, arrays):
    """Writes pictures of an export.

    Args:
        path: folder of the SavedModel.
        arrays: {"images", "sources", "labels": array}, those that there are; images and sources uint8 (N, H, W, C).
    """
    np.savez_compressed(pathlib.Path(path) / PICTURES, **arrays)


def read_pictures(path):
    """The arrays of `write_pictures`, images and sources as float32 in [0, 1]; {} of an export without."""
    file = pathlib.Path(path) / PICTURES
    if not file.exists():
        return {}
    with np.load(file) as arrays:
        return {key: array if key == "labels" else array.astype(np.float32) / 255.0 for key, array in arrays.items()}

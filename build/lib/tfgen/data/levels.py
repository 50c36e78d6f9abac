"""Discretisation of images: n grey levels per value, or binary images, as models of discrete data need them."""

import dataclasses
import functools

import numpy as np

from tfgen.data import stores, views
from tfgen.data.dataset import Dataset
from tfgen.errors import UserError

BINARISATIONS = ("dynamic", "threshold")


def quantise(images, levels):
    """Quantises 8-bit images to equal bins: level k = floor(pixel * levels / 256), stored as round(255 k / (levels - 1)).

    Args:
        images: uint8 array.
        levels: number of levels n, 2 to 256.

    Returns:
        uint8 array of the same shape; round(x (n - 1) / 255) recovers k exactly.
    """
    level = images.astype(np.uint16) * levels >> 8
    return np.rint(level * (255.0 / (levels - 1))).astype(np.uint8)


def check(levels, binarise):
    """(number of levels, binarisation) from the arguments of `load`; (256, None) leaves images as they are.

    Raises:
        UserError: for values out of range, or both arguments.
    """
    if binarise is not None and binarise not in BINARISATIONS:
        raise UserError(f"binarise expects one of {', '.join(BINARISATIONS)}, received {binarise!r}: choose one of them")
    if levels is None:
        return (256, None) if binarise is None else (2, binarise)
    if isinstance(levels, bool) or not isinstance(levels, (int, np.integer)) or not 2 <= levels <= 256:
        raise UserError(f"levels expects an int from 2 to 256, received {levels!r}: give the grey levels per value")
    if binarise is not None and levels != 2:
        raise UserError(f"expected levels or binarise, received levels={levels} and binarise={binarise!r}: leave out one")
    return int(levels), binarise or ("threshold" if levels == 2 else None)


def discretise(dataset, levels=None, binarise=None):
    """A dataset whose images have `levels` grey levels per value.

    Args:
        dataset: Dataset with view "images" or "one_class", 8-bit.
        levels: number n of levels, 2 to 256: equal bins of the 8-bit value (`quantise`). None keeps 256.
        binarise: "threshold", the same as `levels=2`: 1 from 128 on; or "dynamic" (Salakhutdinov and Murray, 2008): each
            value is 1 with the probability of its intensity, drawn anew in each training epoch and once for the validation
            and test splits, where the draw is a function of the position in the split alone.

    Returns:
        Dataset. `spec.levels` and `spec.binarisation` describe the images, `source` reproduces them.

    Raises:
        UserError: for values out of range, and data with translation sources.
    """
    levels, binarisation = check(levels, binarise)
    if levels == 256:
        return dataset
    spec, splits = dataset.spec, dataset.spec.sizes
    if spec.source_shape is not None:
        raise UserError(f"levels and binarise expect images without sources, received {spec.view} data {spec.name!r}: "
                        "leave out --levels and --binarise, or --pairs and --domains")
    if spec.levels != 256:
        raise UserError(f"expected images of 256 levels, received {spec.name!r} with {spec.levels}: discretise them once")
    asked = {"binarise": binarisation} if binarisation else {"levels": levels}
    spec = dataclasses.replace(spec, levels=levels, binarisation=binarisation)
    arrays = {split: (_images(dataset, split, spec), dataset.labels(split)) for split in splits}
    masks = {split: dataset.masks(split) for split in splits if dataset.masks(split) is not None}
    return Dataset(spec, arrays, dataset.source | asked, masks=masks)


def _images(dataset, split, spec):
    """A split as stored: levels, or for dynamic binarisation the intensities in train and one draw, in memory, elsewhere."""
    if spec.binarisation != "dynamic":
        return stores.changed(dataset.images(split), functools.partial(quantise, levels=spec.levels))
    if split == "train":
        return dataset.images(split)
    drawn = dataset.batches(split, view=lambda record: views.discretised(record, spec)["image"])
    return np.concatenate([(255 * x).astype(np.uint8) for x in drawn.as_numpy_iterator()])


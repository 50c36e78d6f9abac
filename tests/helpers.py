"""Small data on disk, and what is asked of data sets and of errors."""

import functools
import gzip
import itertools
import json
import math

import numpy as np
import pytest
from PIL import Image

from tfgen.data import load
from tfgen.data.readers.arrays import IDX_NAMES
from tfgen.errors import UserError
from tfgen.runs.strategies import mirrored

RNG = np.random.default_rng(0)


@functools.cache
def two_replicas():
    """A strategy of the two logical devices of the tests, see process.py."""
    return mirrored(2)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def write_images(folder, count, shape=(6, 6), ending=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [pixels(*shape) for _ in range(count)]
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i}{ending}")
    return arrays


def one_line(words, call, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and any(word in message for word in ("received", "found", "missing"))
    for word in words:
        assert word in message, message
    return message


def same(a, b):
    """Whether two datasets have one spec and the same arrays."""
    arrays = [(x, y) for s in a.spec.sizes for x, y in ((a.images(s), b.images(s)), (a.labels(s), b.labels(s)))]
    arrays += [(a.sources(s), b.sources(s)) for s in a.spec.sizes] if a.spec.source_shape else []
    arrays += [(a.masks(s), b.masks(s)) for s in a.spec.sizes]
    return a.spec == b.spec and all(np.array_equal(x, y) for x, y in arrays)


def again(data):
    """The dataset that its own record loads."""
    return load(**json.loads(json.dumps(data.source)))


def multiset(*arrays):
    return sorted(np.ascontiguousarray(x).tobytes() for array in arrays for x in array)


def write_mask(folder, stem, mask):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(folder / f"{stem}.png")


def write_category(folder, shape=(6, 8, 3), defects=("bent", "scratch")):
    """20 normal images to train on; in the test 3 normal ones and 2 of each defect; {kind: images}, {image: mask}."""
    known, masks = {"train": write_images(folder / "train" / "good", 20, shape)}, {}
    known["good"] = write_images(folder / "test" / "good", 3, shape)
    for kind, suffix in zip(defects, ("_mask", ""), strict=True):
        known[kind] = write_images(folder / "test" / kind, 2, shape)
        for i, image in enumerate(known[kind]):
            masks[image.tobytes()] = np.zeros(shape[:2], np.uint8)
            masks[image.tobytes()][i:i + 2, 3:5] = 1 + 254 * i
            write_mask(folder / "ground_truth" / kind, f"{i}{suffix}", masks[image.tobytes()])
    return known, masks


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_idx(folder, counts=(60, 20), side=28, end=".gz"):
    """The four files of an MNIST-like dataset; returns {split: (images, labels)}."""
    folder.mkdir(exist_ok=True)
    arrays = {}
    for (split, names), count in zip(IDX_NAMES.items(), counts, strict=True):
        arrays[split] = pixels(count, side, side), (np.arange(count) % 10).astype(np.uint8)
        for name, array in zip(names, arrays[split], strict=True):
            data = idx_bytes(array)
            (folder / (name + end)).write_bytes(gzip.compress(data) if end else data)
    return arrays


class Pixels:
    """Pixels as features, and two classes by their brightness where asked."""

    def __init__(self, classes=False):
        self.classes = classes

    def __call__(self, images):
        rows = images.reshape(len(images), -1)
        bright = rows.mean(axis=1, keepdims=True)
        return rows, np.concatenate([bright, 1 - bright], axis=1) if self.classes else None

    def describe(self):
        return {"extractor": "pixels", "checksum": "0", "resize": "none"}


def all_images(shape, levels):
    """All images of `levels` grey levels: float32 (levels^D, *shape) in [0, 1]."""
    grid = itertools.product(range(levels), repeat=math.prod(shape))
    return (np.array(list(grid), "float32") / (levels - 1)).reshape(-1, *shape)

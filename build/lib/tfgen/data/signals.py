"""Signals as data: the samples of one image, sound or volume, and the pixels of posed views of a scene."""

import numpy as np
import tensorflow as tf

from tfgen import coordinates
from tfgen.data import views
from tfgen.data.order import stream_seeds
from tfgen.data.spec import DataSpec
from tfgen.data.splits import carve, permutation
from tfgen.data.streams import Streams, check_int
from tfgen.errors import UserError

# One small signal is seen many times: an epoch has at least so many training steps, whatever its number of samples.
LEAST_STEPS = 64


class Samples(Streams):
    """Rows that are samples of a field: coordinates and values."""

    default_view = staticmethod(views.signal)

    def steps(self, batch_size):
        """Training batches per epoch: one pass over the training samples, or as many as have `LEAST_STEPS` batches."""
        return max(LEAST_STEPS, super().steps(batch_size))


class Signal(Samples):
    """The samples of one signal on a grid, see `signal`.

    Args:
        spec: DataSpec of view "signal".
        values: float32 (*grid, C) in [0, 1].
        samples: {split: indices of its samples in the flattened grid, int64 (N,)}.
        source: the arguments of `load` that reproduce this dataset; recorded in runs.
    """

    rows = "samples"

    def __init__(self, spec, values, samples, source=None):
        self.spec = spec
        self.values = values
        self.samples = samples
        self.source = source or {"name": spec.name}

    def contents(self):
        return [self.values, *(array for _, array in sorted(self.samples.items()))]

    def _reader(self, split, stream, view, augment=None):
        *sides, channels = self.spec.image_shape
        with tf.init_scope(), tf.device("/CPU:0"):
            flat, chosen = tf.constant(self.values.reshape(-1, channels)), tf.constant(self.samples[split])

        def read(rows, positions):
            places = tf.unravel_index(tf.gather(chosen, rows), tf.constant(sides, tf.int64))  # (D, B)
            return view({"coordinates": coordinates.of_places(tf.transpose(places), sides),
                         "values": tf.gather(flat, tf.gather(chosen, rows)), "gradients": gradients(flat, places, sides),
                         "seed": stream_seeds(stream, positions)})

        return read


def gradients(flat, places, sides):
    """Central differences of a signal in its coordinates, one-sided at its ends: float32 (B, C D), as in `np.gradient`.

    Args:
        flat: values (product of sides, C).
        places: int64 (D, B), indices of samples along each axis.
        sides: numbers of samples along the axes, (D,).
    """
    strides, found = np.cumprod([1, *sides[:0:-1]])[::-1], []
    index = tf.linalg.matvec(places, tf.constant(strides, tf.int64), transpose_a=True)
    for place, side, stride in zip(tf.unstack(places), sides, strides, strict=True):
        up, down = tf.minimum(place + 1, side - 1) - place, place - tf.maximum(place - 1, 0)
        span = tf.cast(tf.maximum(up + down, 1), tf.float32) * (2.0 / side)
        found.append((tf.gather(flat, index + up * stride) - tf.gather(flat, index - down * stride)) / span[:, None])
    return tf.reshape(tf.stack(found, axis=-1), (-1, flat.shape[-1] * len(sides)))


def signal(values, name="signal", every=1, source=None):
    """The samples of one signal as a dataset.

    Coordinates are the centres of equal cells of [-1, 1]^D, in the order of the array's axes (`tfgen.coordinates.grid`).

    Args:
        values: array (*grid, C): (H, W, C) for an image, (T, C) for audio; uint8, or float in [0, 1].
        name: name of the dataset.
        every: with 1, each split has all samples: training fits the whole signal. With k, the training split has every k-th
            sample along each axis, and the rest is divided at random between validation and test, as in the 2-D regression
            of Tancik et al. (2020) with k = 2.
        source: the arguments of `load` that reproduce the dataset.

    Raises:
        UserError: for an array of another kind.
    """
    values = scaled(f"'{name}'", values, "signal(values)", "(*grid, C)", 2)
    every = check_int("every", every, 1)
    grid = np.arange(values[..., 0].size).reshape(values.shape[:-1])
    samples = dict.fromkeys(("train", "validation", "test"), grid.ravel())
    if every > 1:
        kept = grid[tuple(slice(None, None, every) for _ in grid.shape)].ravel()
        rest = np.setdiff1d(grid, kept)
        if len(rest) < 2:
            raise UserError(f"every={every} expects a signal with at least two samples to hold out, '{name}' has "
                            f"{grid.size} samples: leave it out")
        rest = rest[permutation(len(rest))]
        samples = {"train": kept, "validation": np.sort(rest[::2]), "test": np.sort(rest[1::2])}
    spec = DataSpec(name, values.shape, sizes={split: len(rows) for split, rows in samples.items()}, view="signal")
    return Signal(spec, values, samples, source)


def scaled(where, values, call, shape, least):
    """float32 values in [0, 1] of an array of uint8 or float.

    Raises:
        UserError: for another dtype, rank or range.
    """
    values = np.asarray(values)
    if values.ndim < least or not values.size or values.dtype.kind not in "uf" or values.dtype.kind == "u" and (
            values.dtype != np.uint8):
        raise UserError(f"{call} expects uint8, or floats in [0, 1], of shape {shape}, received {values.dtype} "
                        f"{values.shape} in {where}: convert it")
    made = values.astype(np.float32) / (255.0 if values.dtype == np.uint8 else 1.0)
    if not (made.min() >= 0 and made.max() <= 1):
        raise UserError(f"{call} expects numbers in [0, 1], received {made.min():g} ... {made.max():g} in {where}: rescale")
    return made


class PosedImages(Samples):
    """Pixels of views of a scene, each with its ray, see `posed`.

    Args:
        spec: DataSpec of view "posed".
        images: {split: float32 (N, H, W, C) in [0, 1]}.
        poses: {split: float32 (N, 4, 4)}.
        source: the arguments of `load` that reproduce this dataset; recorded in runs.
    """

    rows = "pixels"

    def __init__(self, spec, images, poses, source=None):
        self.spec = spec
        self.views = images
        self.poses = poses
        self.source = source or {"name": spec.name}

    def contents(self):
        return [array for part in (self.views, self.poses) for _, array in sorted(part.items())]

    def _reader(self, split, stream, view, augment=None):
        height, width, channels = self.spec.image_shape
        with tf.init_scope(), tf.device("/CPU:0"):
            flat, poses = tf.constant(self.views[split].reshape(-1, channels)), tf.constant(self.poses[split])

        def read(rows, positions):
            pixel = rows % (height * width)
            places = tf.stack([pixel // width, pixel % width], axis=-1)
            shot = tf.gather(poses, rows // (height * width))
            return view({"coordinates": coordinates.rays(shot, places, self.spec.image_shape, self.spec.focal),
                         "values": tf.gather(flat, rows), "seed": stream_seeds(stream, positions)})

        return read


def posed(images, poses, focal, name="scene", source=None):
    """Views of a scene from known camera poses as a dataset: its rows are pixels.

    Args:
        images: array (N, H, W, C), uint8 or float in [0, 1]; or {split: such an array} with 'train'. Missing splits take a
            tenth of the training views each.
        poses: camera-to-world matrices (N, 4, 4), cameras looking along -z with x right and y up; or {split: matrices}.
        focal: focal length in pixels.
        name: name of the dataset.
        source: the arguments of `load` that reproduce the dataset.

    Raises:
        UserError: for arrays of another kind, or as many images as poses are not given.
    """
    images, poses = ({"train": given} if not isinstance(given, dict) else given for given in (images, poses))
    if "train" not in images or set(images) != set(poses):
        raise UserError(f"posed(images, poses) expects the same splits of both, 'train' among them, received "
                        f"{sorted(images)} and {sorted(poses)}")
    pairs = {}
    for split in images:
        where, shot = f"'{name}'", np.asarray(poses[split])
        made = scaled(where, images[split], "posed(images)", "(N, H, W, C)", 4)
        if made.ndim != 4 or shot.shape != (len(made), 4, 4) or not np.isfinite(shot).all():
            raise UserError(f"posed(images, poses) expects images (N, H, W, C) and as many finite poses (N, 4, 4), received "
                            f"{made.shape} and {shot.shape} in {where}")
        pairs[split] = made, shot.astype(np.float32)
    pairs = carve(name, pairs)
    images, poses = ({split: pair[part] for split, pair in pairs.items()} for part in (0, 1))
    shapes = {made.shape[1:] for made in images.values()}
    if len(shapes) > 1:
        raise UserError(f"posed(images) expects one size in all splits, received {sorted(shapes)} in '{name}'")
    sizes = {split: int(np.prod(made.shape[:3])) for split, made in images.items()}
    spec = DataSpec(name, shapes.pop(), sizes=sizes, view="posed", focal=float(focal))
    return PosedImages(spec, images, poses, source)

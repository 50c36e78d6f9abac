"""Datasets of images, in memory or in the shards of a packed folder, or of vectors in memory."""

import copy
import dataclasses

import numpy as np
import tensorflow as tf

from tfgen.data import stores, views
from tfgen.data.order import IMAGES, SOURCES, shuffled, stream_seeds
from tfgen.data.streams import Streams, check_int
from tfgen.errors import UserError


def _check_vectors(what, array, shape):
    if array.dtype != np.float32 or array.shape[1:] != shape or not len(array) or not np.isfinite(array).all():
        raise UserError(f"Dataset expects {what} as finite float32 (N, {', '.join(map(str, shape))}), N >= 1, received "
                        f"{array.dtype} {array.shape}")


def _check_array(what, array, shape, count=None):
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != shape or not len(array) or (
            count not in (None, len(array))):
        raise UserError(f"Dataset expects {what} uint8 ({count or 'N'}, {', '.join(map(str, shape))}), N >= 1, "
                         f"received {array.dtype} {array.shape}")


def _floats(rows):
    """uint8 images as float32 in [0, 1]; vectors as they are."""
    return tf.cast(rows, tf.float32) / 255.0 if rows.dtype == tf.uint8 else rows


def _pixels(batches):
    """Batches of float images in [0, 1] as one read-only uint8 array."""
    return stores.read_only(np.concatenate([np.rint(255.0 * x).astype(np.uint8) for x in batches.as_numpy_iterator()]))


class Dataset(Streams):
    """Images of the splits 'train', 'validation' and 'test', uint8: in memory, or read from shards as they are needed.

    With a spec of vectors, rows are float32 (N, D), or windows (N, times, channels), and batches hold them as they are.

    Args:
        spec: DataSpec.
        arrays: {split: (images uint8 (N, H, W, C), labels int64 (N,) or None)}; must have 'train'. Images, and sources, are
            ndarrays or `tfgen.data.stores.Shards`.
        source: the arguments of `load` that reproduce this dataset; recorded in runs.
        sources: translation sources of paired or unpaired data: {split: uint8 (N, H, W, C)}, where N may differ from
            that of the images for unpaired data; for paired data also a pairing of `tfgen.data.pairings`, which computes
            them in the stream.
        masks: defect masks of one-class data: {split: bool (N, H, W)}, or None.

    Raises:
        UserError: arrays, sources or masks that contradict the spec.
    """

    def __init__(self, spec, arrays, source=None, sources=None, masks=None):
        if "train" not in arrays:
            raise UserError(f"Dataset(arrays) expects a split 'train', received {sorted(arrays)}")
        self.spec = spec
        self.source = source or {"name": spec.name}
        self._images, self._labels = {}, {}
        for split, (images, labels) in arrays.items():
            (_check_vectors if spec.vectors else _check_array)(f"{split} {spec.kind}", images, spec.image_shape)
            if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != np.int64):
                raise UserError(f"Dataset expects {split} labels int64 ({len(images)},), "
                                 f"received {labels.dtype} {labels.shape}")
            self._images[split] = stores.stored(images)
            self._labels[split] = None if labels is None else stores.Memory(labels)
        self._pairing, self._sources = (sources, {}) if callable(sources) else (None, dict(sources or {}))
        self._check_sources()
        self._sources = {split: stores.stored(array) for split, array in self._sources.items()}
        self._check_one_class(masks or {})
        self._masks = {split: stores.Memory(array) for split, array in (masks or {}).items()}

    def _check_sources(self):
        spec = self.spec
        if self._pairing:
            found = spec.view == "paired" and self._pairing.source_shape(spec.image_shape)
            if found != spec.source_shape:
                raise UserError(f"Dataset expects a pairing for {spec.view} data and source_shape={spec.source_shape}, "
                                 f"received {self._pairing.name} with {found}")
        elif set(self._sources) != (set(self._images) if spec.source_shape else set()):
            raise UserError(f"Dataset expects sources of all splits for paired and unpaired data, else none, "
                             f"received {sorted(self._sources)} with view={spec.view!r}")
        for split, array in self._sources.items():
            _check_array(f"{split} sources", array, spec.source_shape,
                         len(self._images[split]) if spec.view == "paired" else None)

    def _check_one_class(self, masks):
        one_class = self.spec.view == "one_class"
        labelled = {split for split, labels in self._labels.items() if labels is not None}
        if one_class and labelled != {"test"} & set(self._images):
            raise UserError(f"Dataset expects labels in the test split alone for one-class data, received them in "
                             f"{sorted(labelled)}")
        for split, array in masks.items():
            shape = self._images[split].array.shape[:3] if one_class and split in self._images else None
            if array.dtype != bool or array.shape != shape:
                raise UserError(f"Dataset expects {split} masks bool {shape} for one-class data, received {array.dtype} "
                                 f"{array.shape} with view={self.spec.view!r}")

    @property
    def rows(self):
        return self.spec.kind

    @property
    def splits(self):
        return list(self._images)

    def with_gaps(self, classes):
        """The same data whose classes, called by numbers, have these as labels, of `classes` in all; they have no names."""
        numbers = np.array([int(name) for name in self.spec.class_names], np.int64)
        made = copy.copy(self)
        made.spec = dataclasses.replace(self.spec, num_classes=classes, class_names=())
        made._labels = {split: None if store is None else stores.Memory(numbers[store.array])
                        for split, store in self._labels.items()}
        return made

    def contents(self):
        for split in sorted(self._images):
            parts = self._images[split], self._labels[split], self._sources.get(split), self._masks.get(split)
            yield from (store.content for store in parts if store is not None)

    def streamed(self):
        """Bytes of the images and sources that are read from shards as they are needed."""
        parts = (*self._images.values(), *self._sources.values())
        return sum(store.nbytes for store in parts if isinstance(store, stores.Shards))

    def hold(self):
        """Reads all shards into memory; no batch changes."""
        for part in (self._images, self._sources):
            for split, store in part.items():
                if isinstance(store, stores.Shards):
                    part[split] = store.held()

    def _check_split(self, split):
        if split not in self._images:
            raise UserError(f"a split of {self.spec.name!r} is one of {', '.join(map(repr, self._images))}, "
                            f"received {split!r}: use one of them")

    def images(self, split):
        """Read-only uint8 (N, H, W, C): an ndarray, or `Shards`, of which an index or slice gives one.

        Raises:
            UserError: an unknown split.
        """
        self._check_split(split)
        return self._images[split].array

    def drawn(self, split):
        """The images of a split as its batches have them, as `images`: of dynamically binarised ones, which it has as
        intensities for training, one draw, in memory."""
        if self.spec.binarisation != "dynamic" or split != "train":
            return self.images(split)
        return _pixels(self.batches(split, view=views.images))

    def labels(self, split):
        """Read-only int64 (N,), or None if the split has no labels. Raises UserError on an unknown split."""
        self._check_split(split)
        labels = self._labels[split]
        return None if labels is None else labels.array

    def sources(self, split, limit=None):
        """Translation sources of a split: of each image (paired data), or the source domain (unpaired data).

        Args:
            split: 'train', 'validation' or 'test'.
            limit: maximum number of sources; None returns all.

        Returns:
            Read-only uint8 (N, H, W, C), as `images`. A pairing computes them at each call, equal to those of `batches`.

        Raises:
            UserError: an unknown split, a limit out of range, or data without sources.
        """
        self._check_split(split)
        if self.spec.source_shape is None:
            raise UserError(f"sources expects paired or unpaired data, received {self.spec.name!r} with images alone: "
                            "load it with pairs= (--pairs edges) or domains= (--domains A,B)")
        if not self._pairing:
            sources = self._sources[split].array
            return sources if limit is None else sources[:check_int("limit", limit, 1)]
        return _pixels(self.batches(split, view=lambda record: record["source"], limit=limit))

    def masks(self, split):
        """Read-only bool (N, H, W), True at defective pixels; None if the split has no masks.

        Raises:
            UserError: an unknown split.
        """
        self._check_split(split)
        return self._masks[split].array if split in self._masks else None

    def anomalous(self, split):
        """Anomaly labels of one-class data: bool (N,), all False outside the test split.

        Raises:
            UserError: an unknown split, or data of another view.
        """
        labels = self.labels(split)
        if self.spec.view != "one_class":
            raise UserError(f"anomalous expects one-class data, received {self.spec.name!r} with view={self.spec.view!r}: "
                            "load it with normal= (--normal 3), anomalous= (--anomalous 3) or a folder with train/good")
        return np.zeros(len(self._images[split]), bool) if labels is None else labels > 0

    def _count(self, split):
        """Number of images of a split; for unpaired data that of the larger domain."""
        return max(len(self.images(split)), len(self._sources.get(split, ())))

    def _augmented(self, record, augment):
        """Augments a record: the same transformation for both images of a pair, independent ones for unpaired domains."""
        seeds = record["seed"]
        others = {"paired": seeds, "unpaired": tf.int64.max - seeds}
        changed = {"image": augment.seeded(record["image"], seeds)}
        if "source" in record:
            changed["source"] = augment.seeded(record["source"], others[self.spec.view])
        return record | changed

    def _reader(self, split, stream, view, augment=None):
        self._check_split(split)
        images, labels, sources = self._images[split], self._labels[split], self._sources.get(split)

        def read(rows, positions):
            rows, source_rows = rows
            record = {"image": _floats(images.gather(rows)),
                      "seed": stream_seeds(stream, positions)}
            if labels is not None:
                record["label"] = labels.gather(rows)
            if sources is not None:
                record["source"] = _floats(sources.gather(source_rows))
            if augment is not None:
                record = self._augmented(record, augment)
            record = views.discretised(record, self.spec)
            if self._pairing:
                record["source"] = self._pairing(record)
            return view(record)

        return read

    def _shuffled(self, positions, seed, order):
        rows = shuffled(positions, len(self.images("train")), seed, IMAGES, order)
        if self.spec.view != "unpaired":
            return rows, rows
        # Each domain has its own epochs and permutations.
        return rows, shuffled(positions, len(self._sources["train"]), seed, SOURCES, order)

    def _ordered(self, split, positions):
        if self.spec.view != "unpaired":
            return positions, positions
        # The pass covers the larger domain, and the smaller one repeats.
        return positions % len(self.images(split)), positions % len(self._sources[split])

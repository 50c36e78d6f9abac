"""Datasets of images in memory."""

import numpy as np
import tensorflow as tf

from tfgen.data import views
from tfgen.data.order import IMAGES, SOURCES, shuffled, stream_seeds
from tfgen.data.streams import Streams, check_int
from tfgen.errors import UserError


def _check_array(what, array, shape, count=None):
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != shape or not len(array) or (
            count not in (None, len(array))):
        raise UserError(f"Dataset expects {what} uint8 ({count or 'N'}, {', '.join(map(str, shape))}), N >= 1, "
                         f"received {array.dtype} {array.shape}")


def _read_only(array):
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array


class Dataset(Streams):
    """Images of the splits 'train', 'validation' and 'test', in memory as uint8.

    Args:
        spec: DataSpec.
        arrays: {split: (images uint8 (N, H, W, C), labels int64 (N,) or None)}; must have 'train'.
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
        self._arrays = {}
        self._tensors = {}
        for split, (images, labels) in arrays.items():
            _check_array(f"{split} images", images, spec.image_shape)
            if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != np.int64):
                raise UserError(f"Dataset expects {split} labels int64 ({len(images)},), "
                                 f"received {labels.dtype} {labels.shape}")
            self._arrays[split] = _read_only(images), None if labels is None else _read_only(labels)
        self._pairing, self._sources = (sources, {}) if callable(sources) else (None, dict(sources or {}))
        self._check_sources()
        self._sources = {split: _read_only(array) for split, array in self._sources.items()}
        self._check_one_class(masks or {})
        self._masks = {split: _read_only(array) for split, array in (masks or {}).items()}

    def _check_sources(self):
        spec = self.spec
        if self._pairing:
            found = spec.view == "paired" and self._pairing.source_shape(spec.image_shape)
            if found != spec.source_shape:
                raise UserError(f"Dataset expects a pairing for {spec.view} data and source_shape={spec.source_shape}, "
                                 f"received {self._pairing.name} with {found}")
        elif set(self._sources) != (set(self._arrays) if spec.source_shape else set()):
            raise UserError(f"Dataset expects sources of all splits for paired and unpaired data, else none, "
                             f"received {sorted(self._sources)} with view={spec.view!r}")
        for split, array in self._sources.items():
            _check_array(f"{split} sources", array, spec.source_shape,
                         len(self._arrays[split][0]) if spec.view == "paired" else None)

    def _check_one_class(self, masks):
        one_class = self.spec.view == "one_class"
        labelled = {split for split, (_, labels) in self._arrays.items() if labels is not None}
        if one_class and labelled != {"test"} & set(self._arrays):
            raise UserError(f"Dataset expects labels in the test split alone for one-class data, received them in "
                             f"{sorted(labelled)}")
        for split, array in masks.items():
            shape = self._arrays[split][0].shape[:3] if one_class and split in self._arrays else None
            if array.dtype != bool or array.shape != shape:
                raise UserError(f"Dataset expects {split} masks bool {shape} for one-class data, received {array.dtype} "
                                 f"{array.shape} with view={self.spec.view!r}")

    @property
    def splits(self):
        return list(self._arrays)

    def contents(self):
        for split, arrays in sorted(self._arrays.items()):
            yield from (array for array in (*arrays, self._sources.get(split), self._masks.get(split)) if array is not None)

    def _split(self, split):
        if split not in self._arrays:
            raise UserError(f"a split of {self.spec.name!r} is one of {', '.join(map(repr, self._arrays))}, "
                            f"received {split!r}: use one of them")
        return self._arrays[split]

    def images(self, split):
        """Read-only uint8 (N, H, W, C). Raises UserError on an unknown split."""
        return self._split(split)[0]

    def labels(self, split):
        """Read-only int64 (N,), or None if the split has no labels. Raises UserError on an unknown split."""
        return self._split(split)[1]

    def sources(self, split, limit=None):
        """Translation sources of a split: of each image (paired data), or the source domain (unpaired data).

        Args:
            split: 'train', 'validation' or 'test'.
            limit: maximum number of sources; None returns all.

        Returns:
            Read-only uint8 (N, H, W, C). A pairing computes them at each call, equal to those of `batches`.

        Raises:
            UserError: an unknown split, a limit out of range, or data without sources.
        """
        self._split(split)
        if self.spec.source_shape is None:
            raise UserError(f"sources expects paired or unpaired data, received {self.spec.name!r} with images alone: "
                            "load it with pairs= (--pairs edges) or domains= (--domains A,B)")
        if not self._pairing:
            return self._sources[split][:None if limit is None else check_int("limit", limit, 1)]
        found = self.batches(split, view=lambda record: record["source"], limit=limit)
        return _read_only(np.concatenate([np.rint(255.0 * x).astype(np.uint8) for x in found.as_numpy_iterator()]))

    def masks(self, split):
        """Read-only bool (N, H, W), True at defective pixels; None if the split has no masks.

        Raises:
            UserError: an unknown split.
        """
        self._split(split)
        return self._masks.get(split)

    def anomalous(self, split):
        """Anomaly labels of one-class data: bool (N,), all False outside the test split.

        Raises:
            UserError: an unknown split, or data of another view.
        """
        images, labels = self._split(split)
        if self.spec.view != "one_class":
            raise UserError(f"anomalous expects one-class data, received {self.spec.name!r} with view={self.spec.view!r}: "
                            "load it with normal= (--normal 3), anomalous= (--anomalous 3) or a folder with train/good")
        return np.zeros(len(images), bool) if labels is None else labels > 0

    def _count(self, split):
        """Number of images of a split; for unpaired data that of the larger domain."""
        return max(len(self.images(split)), len(self._sources.get(split, ())))

    def _captured(self, split):
        """Tensors of a split in host memory, created once and shared by all its streams."""
        arrays = (*self._split(split), self._sources.get(split))
        if split not in self._tensors:
            with tf.init_scope(), tf.device("/CPU:0"):
                self._tensors[split] = tuple(None if array is None else tf.constant(array) for array in arrays)
        return self._tensors[split]

    def _augmented(self, record, augment):
        """Augments a record: the same transformation for both images of a pair, independent ones for unpaired domains."""
        seeds = record["seed"]
        others = {"paired": seeds, "unpaired": tf.int64.max - seeds}
        changed = {"image": augment.seeded(record["image"], seeds)}
        if "source" in record:
            changed["source"] = augment.seeded(record["source"], others[self.spec.view])
        return record | changed

    def _reader(self, split, stream, view, augment=None):
        images, labels, sources = self._captured(split)

        def read(rows, positions):
            rows, source_rows = rows
            record = {"image": tf.cast(tf.gather(images, rows), tf.float32) / 255.0,
                      "seed": stream_seeds(stream, positions)}
            if labels is not None:
                record["label"] = tf.gather(labels, rows)
            if sources is not None:
                record["source"] = tf.cast(tf.gather(sources, source_rows), tf.float32) / 255.0
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

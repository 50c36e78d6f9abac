"""In-memory datasets and their batch streams; training batch k is a pure function of (seed, k)."""

import numpy as np
import tensorflow as tf

from tfgen.data import views
from tfgen.data.order import IMAGES, ORDER, SOURCES, shuffled, stream_seeds
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


def _check_int(what, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{what} expects an int >= {least}, received {value!r}: give a number of at least {least}")
    return int(value)


class Dataset:
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
            return self._sources[split][:None if limit is None else _check_int("limit", limit, 1)]
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

    def steps(self, batch_size):
        """Training batches per epoch: max(1, n // batch_size) for n training images (unpaired: of the larger domain)."""
        return max(1, self._count("train") // _check_int("batch_size", batch_size, 1))

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
        """Returns read(rows, source_rows, positions) -> batch; all arguments int64 (B,)."""
        images, labels, sources = self._captured(split)

        def read(rows, source_rows, positions):
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

    def train(self, batch_size, seed=0, view=views.images, start=0, augment=None, order=ORDER):
        """Infinite stream of training batches; batch k is a pure function of (seed, k).

        Position g = k * batch_size + j holds image index_shuffle(g mod n) of epoch g // n. Each epoch is a permutation,
        independent of those of other epochs and seeds. A stream with `start=k` equals the stream from 0 without its
        first k batches. Each domain of unpaired data has its own epochs and permutations.

        Args:
            batch_size: images per batch; a static dimension.
            seed: int in 0 ... 2^63 - 1.
            view: function of a record (`tfgen.data.views`).
            start: index of the first batch, >= 0.
            augment: a layer with `seeded(images, seeds)`, such as `tfgen.layers.Jitter()`, or None. Both images of a pair
                get the same transformation, unpaired domains independent ones; a pairing computes its sources afterwards.
            order: version of the shuffling: 2, or 1 to resume runs recorded before version 2.

        Raises:
            UserError: a number out of range, or a view that needs labels or sources which the data lacks.
        """
        batch_size = _check_int("batch_size", batch_size, 1)
        seed, start = _check_int("seed", seed, 0), _check_int("start", start, 0)
        if order not in (1, ORDER) or seed >= 2**63:
            raise UserError(f"train expects a seed below 2^63 and order 1 or {ORDER}, received seed={seed} and "
                            f"order={order}: a run of a newer tfgen needs that")
        count = len(self.images("train"))
        others = len(self._sources["train"]) if self.spec.view == "unpaired" else None
        read = self._reader("train", seed, view, augment)

        @tf.autograph.experimental.do_not_convert
        def batch(k):
            positions = k * batch_size + tf.range(batch_size, dtype=tf.int64)
            rows = shuffled(positions, count, seed, IMAGES, order)
            return read(rows, shuffled(positions, others, seed, SOURCES, order) if others else rows, positions)

        return self._as_stream(tf.data.Dataset.counter(start), batch)

    def batches(self, split, batch_size=128, view=views.images, limit=None):
        """One ordered pass over a split, including the last partial batch; a view's noise is the same in every pass.

        For unpaired data the pass covers the larger domain, and the smaller domain repeats.

        Args:
            split: 'train', 'validation' or 'test'.
            batch_size: images per batch; the last batch may be smaller.
            view: function of a record (`tfgen.data.views`).
            limit: maximum number of images; None uses all.

        Raises:
            UserError: an unknown split, a number out of range, or a view that needs labels or sources which the data
                lacks.
        """
        batch_size = _check_int("batch_size", batch_size, 1)
        count = self._count(split)
        if limit is not None:
            count = min(count, _check_int("limit", limit, 1))
        # Negative stream numbers never coincide with training seeds.
        read = self._reader(split, -1 - list(self._arrays).index(split), view)

        @tf.autograph.experimental.do_not_convert
        def batch(first):
            rows = tf.range(first, tf.minimum(first + batch_size, count), dtype=tf.int64)
            if self.spec.view == "unpaired":
                return read(rows % len(self.images(split)), rows % len(self._sources[split]), rows)
            return read(rows, rows, rows)

        return self._as_stream(tf.data.Dataset.range(0, count, batch_size), batch)

    @staticmethod
    def _as_stream(numbers, batch):
        options = tf.data.Options()
        options.deterministic = True
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE).with_options(options)

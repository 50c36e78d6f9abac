"""Datasets in memory and their streams: batch k is a pure function of (seed, k)."""

import numpy as np
import tensorflow as tf

from tfgen import noise
from tfgen.data import views
from tfgen.errors import UserError

# First word of the seed of tf.random.experimental.index_shuffle, whose vector form only the raw op offers.
_SHUFFLE_KEY = 498247692


def stream_seeds(stream, positions):
    """One seed per position of a stream: Threefry of key `stream` and counter `positions`.

    Args:
        stream: Python int (64 bits).
        positions: int64 (B,).

    Returns:
        int64 (B,), >= 0.
    """
    mask = tf.constant(0xFFFFFFFF, tf.int64)
    key = tuple(tf.constant(stream >> shift & 0xFFFFFFFF, tf.uint32)[None] for shift in (0, 32))
    counter = tuple(tf.cast(tf.bitwise.right_shift(positions, tf.constant(shift, tf.int64)) & mask, tf.uint32)
                    for shift in (0, 32))
    first, second = (tf.cast(word, tf.int64) for word in noise.threefry(key, counter))
    bits = tf.bitwise.bitwise_or(tf.bitwise.left_shift(first, tf.constant(32, tf.int64)), second)
    return tf.bitwise.bitwise_and(bits, tf.int64.max)


def _check_int(what, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{what} expects an int >= {least}, received {value!r}: give a number of at least {least}")
    return int(value)


class Dataset:
    """Images of the splits 'train', 'validation' and 'test', in memory as uint8.

    Args:
        spec: DataSpec.
        arrays: {split: (images uint8 (N, H, W, C), labels int64 (N,) or None)}; must have 'train'.
        source: the arguments of `load` that give this dataset again: what a run records.

    Raises:
        ValueError: arrays that do not fit the spec.
    """

    def __init__(self, spec, arrays, source=None):
        if "train" not in arrays:
            raise ValueError(f"Dataset(arrays) expects a split 'train', received {sorted(arrays)}")
        self.spec = spec
        self.source = source or {"name": spec.name}
        self._arrays = {}
        self._tensors = {}
        for split, (images, labels) in arrays.items():
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != spec.image_shape or not len(images):
                raise ValueError(f"Dataset expects {split} images uint8 (N, {', '.join(map(str, spec.image_shape))}), "
                                 f"N >= 1, received {images.dtype} {images.shape}")
            if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != np.int64):
                raise ValueError(f"Dataset expects {split} labels int64 ({len(images)},), "
                                 f"received {labels.dtype} {labels.shape}")
            self._arrays[split] = tuple(None if a is None else np.ascontiguousarray(a).view() for a in (images, labels))
            for array in self._arrays[split]:
                if array is not None:
                    array.flags.writeable = False

    def _split(self, split):
        if split not in self._arrays:
            raise UserError(f"a split of {self.spec.name!r} is one of {', '.join(map(repr, self._arrays))}, "
                            f"received {split!r}: use one of them")
        return self._arrays[split]

    def images(self, split):
        """Read-only uint8 (N, H, W, C). Raises UserError on an unknown split."""
        return self._split(split)[0]

    def labels(self, split):
        """Read-only int64 (N,), or None where the split has none. Raises UserError on an unknown split."""
        return self._split(split)[1]

    def steps(self, batch_size):
        """Batches an epoch of training: max(1, n // batch_size)."""
        return max(1, len(self.images("train")) // _check_int("batch_size", batch_size, 1))

    def _captured(self, split):
        """Tensors of a split in host memory, made once and shared by all its streams."""
        images, labels = self._split(split)
        if split not in self._tensors:
            with tf.init_scope(), tf.device("/CPU:0"):
                self._tensors[split] = (tf.constant(images), None if labels is None else tf.constant(labels))
        return self._tensors[split]

    def _reader(self, split, stream, view):
        """Function (rows, positions), int64 (B,) each, -> the view of those rows."""
        images, labels = self._captured(split)

        def read(rows, positions):
            record = {"image": tf.cast(tf.gather(images, rows), tf.float32) / 255.0,
                      "seed": stream_seeds(stream, positions)}
            if labels is not None:
                record["label"] = tf.gather(labels, rows)
            return view(record)

        return read

    def train(self, batch_size, seed=0, view=views.images, start=0):
        """Infinite stream of training batches; batch k is a pure function of (seed, k).

        Position g = k * batch_size + j holds image index_shuffle(g mod n) of epoch g // n: each epoch is a
        permutation, and a stream with `start=k` is the stream from 0 without its first k batches.

        Args:
            batch_size: images a batch, static.
            seed: int >= 0.
            view: function of a record (`tfgen.data.views`).
            start: the first batch, >= 0.

        Raises:
            UserError: a number out of range, or a view that needs labels on a source without.
        """
        batch_size = _check_int("batch_size", batch_size, 1)
        seed, start = _check_int("seed", seed, 0), _check_int("start", start, 0)
        count = len(self.images("train"))
        read = self._reader("train", seed, view)
        shuffle_seed = seed % 2**63

        @tf.autograph.experimental.do_not_convert
        def batch(k):
            positions = k * batch_size + tf.range(batch_size, dtype=tf.int64)
            epochs = positions // count
            words = tf.stack([tf.fill([batch_size], tf.constant(_SHUFFLE_KEY, tf.int64)),
                              tf.fill([batch_size], tf.constant(shuffle_seed, tf.int64)), epochs], axis=1)  # (B, 3)
            rows = tf.raw_ops.RandomIndexShuffle(
                index=positions % count, seed=words, max_index=tf.constant(count - 1, tf.int64), rounds=4)
            return read(tf.ensure_shape(rows, (batch_size,)), positions)

        return self._finish(tf.data.Dataset.counter(start), batch)

    def batches(self, split, batch_size=128, view=views.images, limit=None):
        """One pass over a split in order, with the remainder; noise of a view is the same in every pass.

        Args:
            split: 'train', 'validation' or 'test'.
            batch_size: images a batch, the last one smaller.
            view: function of a record (`tfgen.data.views`).
            limit: stop after that many images; None takes all.

        Raises:
            UserError: an unknown split, a number out of range, or a view that needs labels on a split without.
        """
        batch_size = _check_int("batch_size", batch_size, 1)
        count = len(self.images(split))
        if limit is not None:
            count = min(count, _check_int("limit", limit, 1))
        # Streams below 0 are those of no training seed.
        read = self._reader(split, -1 - list(self._arrays).index(split), view)

        @tf.autograph.experimental.do_not_convert
        def batch(first):
            rows = tf.range(first, tf.minimum(first + batch_size, count), dtype=tf.int64)
            return read(rows, rows)

        return self._finish(tf.data.Dataset.range(0, count, batch_size), batch)

    @staticmethod
    def _finish(numbers, batch):
        options = tf.data.Options()
        options.deterministic = True
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE).with_options(options)

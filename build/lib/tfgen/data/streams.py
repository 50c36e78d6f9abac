"""Streams of batches from rows in memory; training batch k is a pure function of (seed, k)."""

import hashlib

import numpy as np
import tensorflow as tf

from tfgen.data import views
from tfgen.data.order import IMAGES, ORDER, shuffled
from tfgen.errors import UserError


def check_int(what, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{what} expects an int >= {least}, received {value!r}: give a number of at least {least}")
    return int(value)


class Portion:
    """The rows of each batch that a process reads, for the replicas of a `tf.distribute` strategy that it has.

    A step's batch has `parts` equal parts, one per update or accumulated part of one, and each replica gets its share of
    every part, so that together they see in each update what one device would see.

    Args:
        replicas: number of replicas of all processes.
        first, count: number of the process' first replica, and how many it has.
        parts: of a step's batch.
    """

    def __init__(self, replicas, first=0, count=None, parts=1):
        self.replicas, self.first, self.parts = replicas, first, parts
        self.count = replicas if count is None else count

    def check(self, rows):
        """Raises a `UserError` unless a batch of so many rows can be shared."""
        if rows % (self.parts * self.replicas):
            raise UserError(f"expected a multiple of {self.parts * self.replicas} images per training step for "
                            f"{self.replicas} replicas, received {rows}: choose another batch size")

    def of_batch(self, element, rows):
        """(number of the batch, places (rows / replicas,) in it) of an element of the process' stream, int64."""
        size = rows // self.parts // self.replicas
        replica = self.first + element % self.count
        starts = tf.range(self.parts, dtype=tf.int64) * size * self.replicas + replica * size
        return element // self.count, tf.reshape(starts[:, None] + tf.range(size, dtype=tf.int64), [-1])

    def steps(self, count, batch_size):
        """Number of steps of a pass over `count` rows, in each of which every replica has rows, at most `batch_size`.

        Raises:
            UserError: for fewer rows than replicas.
        """
        if count < self.replicas:
            raise UserError(f"expected at least a row per replica, received {count} for {self.replicas} replicas: use fewer")
        return max(1, min(-(-count // (self.replicas * batch_size)), count // self.replicas))

    def of_pass(self, element, count, steps):
        """First row and the row behind the last one of an element of the process' stream."""
        share = (element // self.count) * self.replicas + self.first + element % self.count
        return share * count // (steps * self.replicas), (share + 1) * count // (steps * self.replicas)


class Streams:
    """Batches of the splits 'train', 'validation' and 'test'.

    A subclass has `spec`, a `DataSpec` with the splits' sizes, and defines `_reader`; it may define how rows are ordered.

    Attributes:
        rows: what a row is, for records.
        default_view: view of a record that `train` and `batches` use unless told otherwise.
    """

    rows = "images"
    default_view = staticmethod(views.images)

    @property
    def splits(self):
        """Names of the splits, in the order of their streams."""
        return list(self.spec.sizes)

    def contents(self):
        """Yields the arrays that the data consist of, in a fixed order."""
        raise NotImplementedError(f"{type(self).__name__} must define contents()")

    def digest(self):
        """The beginning of the SHA-256 of the data's arrays, by which a run knows its data again: 16 hexadecimal digits."""
        found = hashlib.sha256()
        for array in self.contents():
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()[:16]

    def _count(self, split):
        """Number of rows of a split."""
        if split not in self.spec.sizes:
            raise UserError(f"a split of {self.spec.name!r} is one of {', '.join(map(repr, self.spec.sizes))}, "
                            f"received {split!r}: use one of them")
        return self.spec.sizes[split]

    def _reader(self, split, stream, view, augment=None):
        """Returns read(rows, positions) -> batch.

        rows: what `_shuffled` or `_ordered` gives; positions: int64 (B,), places in the stream, which has its own number.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _reader(split, stream, view, augment)")

    def _shuffled(self, positions, seed, order):
        """Rows of the training split at positions (B,) of an infinite stream."""
        return shuffled(positions, self._count("train"), seed, IMAGES, order)

    def _ordered(self, split, positions):
        """Rows of a split at positions (B,) of one pass."""
        return positions

    def steps(self, batch_size):
        """Training batches per epoch: max(1, n // batch_size) for n training images (unpaired: of the larger domain)."""
        return max(1, self._count("train") // check_int("batch_size", batch_size, 1))

    def train(self, batch_size, seed=0, view=None, start=0, augment=None, order=ORDER, portion=None):
        """Infinite stream of training batches; batch k is a pure function of (seed, k).

        Position g = k * batch_size + j holds row index_shuffle(g mod n) of epoch g // n. Each epoch is a permutation,
        independent of those of other epochs and seeds. A stream with `start=k` equals the stream from 0 without its
        first k batches. Each domain of unpaired data has its own epochs and permutations.

        Args:
            batch_size: rows per batch; a static dimension.
            seed: int in 0 ... 2^63 - 1.
            view: function of a record (`tfgen.data.views`); None: `default_view`.
            start: index of the first batch, >= 0.
            augment: a layer with `seeded(images, seeds)`, such as `tfgen.layers.Jitter()`, or None. Both images of a pair
                get the same transformation, unpaired domains independent ones; a pairing computes its sources afterwards.
            order: version of the shuffling: 2, or 1 to resume runs recorded before version 2.
            portion: `Portion` of each batch, one element per replica; None: whole batches.

        Raises:
            UserError: a number out of range, or a view that needs labels or sources which the data lacks.
        """
        batch_size = check_int("batch_size", batch_size, 1)
        seed, start = check_int("seed", seed, 0), check_int("start", start, 0)
        if order not in (1, ORDER) or seed >= 2**63:
            raise UserError(f"train expects a seed below 2^63 and order 1 or {ORDER}, received seed={seed} and "
                            f"order={order}: a run of a newer tfgen needs that")
        read = self._reader("train", seed, view or self.default_view, augment)
        portion = portion or Portion(1)
        portion.check(batch_size)

        def batch(element):
            k, places = portion.of_batch(element, batch_size)
            positions = tf.ensure_shape(k * batch_size + places, [batch_size // portion.replicas])
            return read(self._shuffled(positions, seed, order), positions)

        return as_stream(tf.data.Dataset.counter(start * portion.count), batch)

    def batches(self, split, batch_size=128, view=None, limit=None, portion=None):
        """One ordered pass over a split, including the last partial batch; a view's noise is the same in every pass.

        For unpaired data the pass covers the larger domain, and the smaller domain repeats.

        Args:
            split: 'train', 'validation' or 'test'.
            batch_size: rows per batch; the last batch may be smaller.
            view: function of a record (`tfgen.data.views`); None: `default_view`.
            limit: maximum number of rows; None uses all.
            portion: `Portion` of the pass, of one part: elements of nearly equal sizes, as many for each replica; None: all.

        Raises:
            UserError: an unknown split, a number out of range, or a view that needs labels or sources which the data
                lacks.
        """
        batch_size = check_int("batch_size", batch_size, 1)
        count = self._count(split)
        if limit is not None:
            count = min(count, check_int("limit", limit, 1))
        # Negative stream numbers never coincide with training seeds.
        read = self._reader(split, -1 - self.splits.index(split), view or self.default_view)

        def batch(first, end):
            rows = tf.range(first, end, dtype=tf.int64)
            return read(self._ordered(split, rows), rows)

        if portion is None:
            return as_stream(tf.data.Dataset.range(0, count, batch_size),
                             lambda first: batch(first, tf.minimum(first + batch_size, count)))
        steps = portion.steps(count, batch_size)
        return as_stream(tf.data.Dataset.range(steps * portion.count),
                         lambda element: batch(*portion.of_pass(element, count, steps)))


def as_stream(numbers, batch):
    """The batches of a stream of numbers, in order, computed ahead."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batch = tf.autograph.experimental.do_not_convert(batch)
    stream = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return untuned(stream.prefetch(tf.data.AUTOTUNE).with_options(options))


def untuned(stream):
    """A `tf.data.Dataset` without automatic tuning.

    Its thread sleeps for 10, 20, 40, … ms, and an iterator that ends may wait until it wakes up: a pass then takes up to
    twice as long.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return stream.with_options(options)

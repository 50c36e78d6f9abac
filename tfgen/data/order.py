"""The order of training data: batch k as a pure function of (seed, k), by keyed permutations."""

import tensorflow as tf

from tfgen import noise

# Version of the shuffling of training data. Version 1 (runs without a recorded version) gives permutations that correlate by
# up to 0.95 between epochs, seeds and domains; version 2 gives independent ones.
ORDER = 2
# Domain-separation constants for the shuffle seed, one pair for images and one for the sources of unpaired data: the first
# key word in order 1, and the domain number in order 2.
IMAGES, SOURCES = (498247692, 0), (498247693, 1)


# Traced once for all streams: its rounds have more operations than the rest of a pipeline.
_WORDS = tf.TensorSpec([None], tf.uint32)
_threefry = tf.function(noise.threefry, input_signature=[(_WORDS, _WORDS)] * 2, autograph=False)


def _words(stream):
    """Splits a 64-bit Python int into two uint32 (1,) words, low word first."""
    return tuple(tf.constant(stream >> shift & 0xFFFFFFFF, tf.uint32)[None] for shift in (0, 32))


def _low(numbers):
    """Low 32 bits of int64 (B,) as uint32 (B,)."""
    return tf.cast(numbers & tf.constant(0xFFFFFFFF, tf.int64), tf.uint32)


def stream_seeds(stream, positions):
    """One seed per position of a stream: Threefry of key `stream` and counter `positions`.

    Args:
        stream: Python int (64 bits).
        positions: int64 (B,).

    Returns:
        int64 (B,), >= 0.
    """
    counter = (_low(positions), _low(tf.bitwise.right_shift(positions, tf.constant(32, tf.int64))))
    first, second = (tf.cast(word, tf.int64) for word in _threefry(_words(stream), counter))
    bits = tf.bitwise.bitwise_or(tf.bitwise.left_shift(first, tf.constant(32, tf.int64)), second)
    return tf.ensure_shape(tf.bitwise.bitwise_and(bits, tf.int64.max), positions.shape)


def _order_key(stream, epochs, domain):
    """Shuffle key per epoch, int64 (B, 3): Threefry of key `stream` and counters outside the range of stream positions."""
    uses = (tf.constant([0x80000000 | 2 * domain + index], tf.uint32) for index in (0, 1))
    words = [word for use in uses for word in _threefry(_words(stream), (_low(epochs), use))]
    return tf.stack([tf.cast(word, tf.int64) for word in words[:3]], axis=1)


def shuffled(positions, count, seed, domain, order=ORDER):
    """Row indices at positions g of an infinite stream: g mod count, with a new permutation per epoch g // count.

    The few rounds and small key words of order 1 leave permutations correlated. The raw op is used because only it
    accepts one key per row.

    Args:
        positions: int64 (B,).
        count: number of rows in the split.
        seed: seed of the stream.
        domain: `IMAGES` or `SOURCES`.
        order: 1 or 2, see `ORDER`.

    Returns:
        int64 (B,), each in 0 ... count - 1.
    """
    epochs, rounds = positions // count, 4 if order == 1 else 8
    if order == 1:
        words = [tf.fill(positions.shape, tf.constant(word, tf.int64)) for word in (domain[0], seed % 2**63)]
        key = tf.stack([*words, epochs], axis=1)
    else:
        key = _order_key(seed, epochs, domain[1])
    rows = tf.raw_ops.RandomIndexShuffle(
        index=positions % count, seed=key, max_index=tf.constant(count - 1, tf.int64), rounds=rounds)
    return tf.ensure_shape(rows, positions.shape)

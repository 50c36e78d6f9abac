"""Counter-based noise: numbers that are a pure function of (seed, use), the same on every device and batch.

Threefry-2x32 with 20 rounds (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3"): the key is the
64-bit seed of a row, the counter is (use, position). A SavedModel that draws its noise here gives image i from
seed i alone, in whatever batch and process, with XLA or without.

`computed_by` exchanges the operations that compute these numbers, not the numbers: `float_noise` has them for runtimes
without unsigned integers.
"""

import contextlib
import contextvars
import math

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config  # whether operations are deterministic is in no public module

# One constant per independent use of a row's seed.
(LATENT, POSTERIOR, CORRUPTION, LIKELIHOOD, CODES, STYLES, AUGMENTATION, DROPOUT, BINARISATION, PROBES,
 DIFFUSION, LEVELS) = range(12)

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _rotate_left(x, bits):
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(x, tf.constant(bits, tf.uint32)),
                                 tf.bitwise.right_shift(x, tf.constant(32 - bits, tf.uint32)))


def threefry(key, counter):
    """Threefry-2x32-20 block cipher.

    Args:
        key, counter: pairs of uint32 tensors that broadcast together.

    Returns:
        A pair of uint32 tensors.
    """
    xor = tf.bitwise.bitwise_xor
    keys = (key[0], key[1], xor(xor(key[0], key[1]), tf.constant(0x1BD11BDA, tf.uint32)))
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    for block in range(5):
        for bits in ROTATIONS[block % 2]:
            x0 = x0 + x1
            x1 = xor(_rotate_left(x1, bits), x0)
        # Key injection after every fourth round.
        x0 = x0 + keys[(block + 1) % 3]
        x1 = x1 + keys[(block + 2) % 3] + tf.constant(block + 1, tf.uint32)
    return x0, x1


# Its 150 operations are traced once per process, not in each graph that draws noise.
_threefry = tf.function(lambda low, high, word, position: threefry((low, high), (word, position)), autograph=False,
                        input_signature=[tf.TensorSpec(None, tf.uint32)] * 4)


def fresh(seeds):
    """Replaces negative seeds by random ones, different in each call and process, but within a function that XLA compiles:
    its random numbers begin alike in every process."""
    # Both op seeds 0: the kernel seeds itself from entropy, whatever the global seed is; determinism refuses that.
    seed = int(config.is_op_determinism_enabled())
    drawn = tf.cond(
        tf.reduce_any(seeds < 0),
        lambda: tf.raw_ops.RandomUniformInt(
            shape=tf.shape(seeds), minval=tf.constant(0, tf.int64), maxval=tf.int64.max, seed=seed, seed2=0),
        lambda: seeds)
    return tf.where(seeds < 0, drawn, seeds)


def _bits(seeds, count, use):
    """Two uint32 tensors of shape (B, count)."""
    seeds = fresh(tf.convert_to_tensor(seeds, tf.int64))
    low = tf.cast(tf.bitwise.bitwise_and(seeds, tf.constant(0xFFFFFFFF, tf.int64)), tf.uint32)[:, None]
    high = tf.cast(tf.bitwise.right_shift(seeds, tf.constant(32, tf.int64)), tf.uint32)[:, None]
    position = tf.cast(tf.range(count), tf.uint32)[None, :]
    word = tf.zeros_like(position) + tf.cast(use, tf.uint32)
    words = _threefry(low, high, word, position)
    for one in words:
        one.set_shape((*seeds.shape, count))
    return words


def _top_bits(seeds, count, use):
    """The upper 23 bits of both words of `_bits`, whole float32 numbers."""
    shifted = (tf.bitwise.right_shift(word, tf.constant(9, tf.uint32)) for word in _bits(seeds, count, use))
    return tuple(tf.cast(tf.cast(word, tf.int32), tf.float32) for word in shifted)


# What computes (top bits of a use of seeds, seeds of images); `computed_by` exchanges it.
_OPERATIONS = contextvars.ContextVar("operations", default=None)


@contextlib.contextmanager
def computed_by(operations):
    """Context manager: noise that is drawn or traced within is computed by other operations that give the same numbers.

    Args:
        operations: an object with `top_bits(seeds, count, use) -> two float32 (B, count)`, the upper 23 bits of Threefry's
            words, `seeds_of(images) -> seeds`, `normal_quantile(u)` and `normal_tail(x)`, as `float_noise.Floats` has them.
    """
    token = _OPERATIONS.set(operations)
    try:
        yield
    finally:
        _OPERATIONS.reset(token)


def _units(seeds, count, use):
    """Two float32 (B, count) in (0, 1): the top 23 bits at the middle of their cell."""
    operations = _OPERATIONS.get()
    made = (operations.top_bits if operations else _top_bits)(seeds, count, use)
    return tuple((top + 0.5) * (1.0 / 2**23) for top in made)


def uniform(seeds, shape, use=LATENT):
    """Uniform noise in (0, 1), float32 of shape (B, *shape).

    Args:
        seeds: int64 (B,); a negative seed draws new noise.
        shape: the static shape of one row.
        use: independent noise stream of the seed (int or int32 scalar tensor).
    """
    size = math.prod(shape)
    return tf.reshape(tf.concat(_units(seeds, (size + 1) // 2, use), 1)[:, :size], (-1, *shape))


def normal(seeds, shape, use=LATENT):
    """Standard normal noise by Box-Muller, float32 of shape (B, *shape). Arguments as for `uniform`."""
    size = math.prod(shape)
    first, second = _units(seeds, (size + 1) // 2, use)
    radius = tf.sqrt(-2.0 * tf.math.log(first))
    angle = 2.0 * math.pi * second
    return tf.reshape(tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 1)[:, :size], (-1, *shape))


def normal_quantile(u):
    """The standard normal's quantile at u in (0, 1), float32."""
    operations = _OPERATIONS.get()
    return operations.normal_quantile(u) if operations else tf.math.ndtri(u)


def normal_tail(x):
    """P(z > x) of standard normal z for x >= 0, float32."""
    operations = _OPERATIONS.get()
    return operations.normal_tail(x) if operations else 0.5 * tf.math.erfc(x * 0.5**0.5)


def _fold(x, bits):
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(bits, tf.int64)))


def weights(count):
    """Weights of `count` pixels in the hash of an image, a numpy array, int64 (count,)."""
    odd = np.arange(1, 2 * count, 2, dtype=np.int64) * np.int64(0x5851F42D4C957F2D)
    return odd ^ (odd >> 31)


def seeds_of(images, scaling=None):
    """One non-negative seed per image, a hash of its pixels at 8 bits: int64 (B,).

    With it, estimates that need noise (an ELBO, a corrupted test image) are functions of the image alone.

    Args:
        images: (B, H, W, C) in [0, 1], or vectors of any units.
        scaling: (location, scale) of vectors per value of the last axis, of which 8 bits of the standardised values in
            -8 ... 8 are hashed: else rows of a small unit would be one. None: as they are.
    """
    if scaling is not None:
        location, scale = (tf.constant(numbers, tf.float32) for numbers in scaling)
        images = tf.clip_by_value(0.5 + (tf.cast(images, tf.float32) - location) / scale / 16.0, 0.0, 1.0)
    operations = _OPERATIONS.get()
    if operations:
        return operations.seeds_of(images)
    levels = tf.cast(tf.round(tf.cast(images, tf.float32) * 255.0), tf.int64)
    levels = tf.reshape(levels, (tf.shape(levels)[0], math.prod(images.shape[1:])))
    total = tf.reduce_sum((levels + 1) * weights(levels.shape[1]), axis=1)
    return tf.bitwise.bitwise_and(_fold(total, 29), tf.int64.max)

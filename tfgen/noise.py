"""Counter-based noise: numbers that are a pure function of (seed, use), the same on every device and batch.

Threefry-2x32 with 20 rounds (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3"): the key is the
64-bit seed of a row, the counter is (use, position). A SavedModel that draws its noise here gives image i from
seed i alone, in whatever batch and process, with XLA or without.
"""

import math

import tensorflow as tf

# One constant per independent use of a row's seed.
(LATENT, POSTERIOR, CORRUPTION, LIKELIHOOD, CODES, STYLES, AUGMENTATION, DROPOUT, BINARISATION, PROBES,
 DIFFUSION, LEVELS) = range(12)

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


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
        for bits in _ROTATIONS[block % 2]:
            x0 = x0 + x1
            x1 = xor(_rotate_left(x1, bits), x0)
        # Key injection after every fourth round.
        x0 = x0 + keys[(block + 1) % 3]
        x1 = x1 + keys[(block + 2) % 3] + tf.constant(block + 1, tf.uint32)
    return x0, x1


def _fresh(seeds):
    """Replaces negative seeds by random ones, different in each call and process."""
    # Both op seeds 0: the kernel seeds itself from entropy, whatever the global seed is.
    drawn = tf.cond(
        tf.reduce_any(seeds < 0),
        lambda: tf.raw_ops.RandomUniformInt(
            shape=tf.shape(seeds), minval=tf.constant(0, tf.int64), maxval=tf.int64.max, seed=0, seed2=0),
        lambda: seeds)
    return tf.where(seeds < 0, drawn, seeds)


def _bits(seeds, count, use):
    """Two uint32 tensors of shape (B, count)."""
    seeds = _fresh(tf.convert_to_tensor(seeds, tf.int64))
    low = tf.cast(tf.bitwise.bitwise_and(seeds, tf.constant(0xFFFFFFFF, tf.int64)), tf.uint32)[:, None]
    high = tf.cast(tf.bitwise.right_shift(seeds, tf.constant(32, tf.int64)), tf.uint32)[:, None]
    position = tf.cast(tf.range(count), tf.uint32)[None, :]
    word = tf.zeros_like(position) + tf.cast(use, tf.uint32)
    return threefry((low, high), (word, position))


def _unit(bits):
    """uint32 -> float32 in (0, 1): the top 23 bits at the middle of their cell."""
    top = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    return (tf.cast(tf.cast(top, tf.int32), tf.float32) + 0.5) * (1.0 / 2**23)


def uniform(seeds, shape, use=LATENT):
    """Uniform noise in (0, 1), float32 of shape (B, *shape).

    Args:
        seeds: int64 (B,); a negative seed draws new noise.
        shape: the static shape of one row.
        use: independent noise stream of the seed (int or int32 scalar tensor).
    """
    size = math.prod(shape)
    first, second = _bits(seeds, (size + 1) // 2, use)
    return tf.reshape(tf.concat([_unit(first), _unit(second)], 1)[:, :size], (-1, *shape))


def normal(seeds, shape, use=LATENT):
    """Standard normal noise by Box-Muller, float32 of shape (B, *shape). Arguments as for `uniform`."""
    size = math.prod(shape)
    first, second = _bits(seeds, (size + 1) // 2, use)
    radius = tf.sqrt(-2.0 * tf.math.log(_unit(first)))
    angle = 2.0 * math.pi * _unit(second)
    return tf.reshape(tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], 1)[:, :size], (-1, *shape))


def _fold(x, bits):
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(bits, tf.int64)))


def seeds_of(images):
    """One non-negative seed per image, a hash of its pixels at 8 bits: int64 (B,).

    With it, estimates that need noise (an ELBO, a corrupted test image) are functions of the image alone.
    """
    levels = tf.cast(tf.round(tf.cast(images, tf.float32) * 255.0), tf.int64)
    levels = tf.reshape(levels, (tf.shape(levels)[0], math.prod(images.shape[1:])))
    weights = tf.range(1, 2 * levels.shape[1], 2, dtype=tf.int64) * tf.constant(0x5851F42D4C957F2D, tf.int64)
    total = tf.reduce_sum((levels + 1) * _fold(weights, 31), axis=1)
    return tf.bitwise.bitwise_and(_fold(total, 29), tf.int64.max)

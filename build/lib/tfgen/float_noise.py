"""The numbers of `tfgen.noise` in float32 arithmetic, for runtimes without (right) unsigned integers, shifts and xors.

Threefry's words are whole numbers in float32, in two forms: halves, two columns (M, 1) of 16 bits, in which words are added,
and bits (M, 32) of 0 and 1, lowest first, which are rotated by exchanging columns and combined by xor(a, b) = |a - b|. No
number exceeds 2^24, up to which float32 is exact, so that the integers are those of `noise.threefry`. Operations: add,
subtract, multiply, floor, absolute value, matrix products with powers of two, concatenation and slices.
"""

import numpy as np
import tensorflow as tf

from tfgen import noise
from tfgen.errors import require

HALF = 2.0**16
# A seed as an input of a graph: words of 16 bits, lowest first.
WORDS = 4
# Products of levels (up to 256) and bytes, this many in a sum, stay below 2^24.
CHUNK = 128
_POWERS = np.float32(2.0) ** np.arange(16, dtype=np.float32)[:, None]
# Multiplied by, never divided: TensorFlow rewrites x / constant to x * an approximate reciprocal.
_SCALES = 1.0 / _POWERS.T


def words_of(seeds):
    """Seeds as graphs in float arithmetic take them: int32 (B, 4), words of 16 bits, lowest first.

    Args:
        seeds: whole numbers (B,) in 0 ... 2^63 - 1.

    Raises:
        UserError: for negative seeds, which ask for fresh noise, and for fractions.
    """
    seeds = np.asarray(seeds)
    require(np.issubdtype(seeds.dtype, np.integer) and not (seeds < 0).any(),
            f"expected seeds that are whole numbers >= 0, received {seeds.min()} of {seeds.dtype}: edge models draw no "
            "fresh noise, so draw the seeds")
    return (seeds.astype(np.int64)[:, None] >> np.arange(0, 64, 16) & 0xFFFF).astype(np.int32)


def _bits_of(halves):
    """(M, 16 n) bits of n columns (M, 1) of whole numbers; those beyond their 16 bits are left out."""
    whole, halved = (tf.floor(tf.concat([half * scales for half in halves], 1)) for scales in (_SCALES, 0.5 * _SCALES))
    return whole - 2.0 * halved


def _halves_of(bits):
    """Columns (M, 1), one per 16 columns of bits (M, 16 n)."""
    return [tf.matmul(bits, column) for column in np.split(np.kron(np.eye(bits.shape[1] // 16, dtype=np.float32), _POWERS),
                                                           bits.shape[1] // 16, 1)]


def _xor(a, b):
    return tf.abs(a - b)


def _carried(halves, base=HALF):
    """Columns in 0 ... base - 1 of the same number, modulo base^n."""
    made, carry = [], 0.0
    for half in halves:
        half = half + carry
        carry = tf.floor(half * (1.0 / base))
        made.append(half - base * carry)
    return made


def _sum(*numbers):
    """The sum of words in halves, modulo 2^32."""
    return _carried([sum(halves[1:], halves[0]) for halves in zip(*numbers)])


def _constant(word):
    """Halves (1, 1) of a whole number, or of whole numbers (M,)."""
    word = np.asarray(word, np.int64).reshape(-1, 1)
    return [np.float32(word & 0xFFFF), np.float32(word >> 16)]


def threefry(key, counter):
    """Threefry-2x32-20 on halves: `noise.threefry` with pairs of words, each two float32 (M, 1) or (1, 1).

    Returns:
        A pair of words as bits, float32 (M, 32).
    """
    third = _halves_of(_xor(_xor(_bits_of(key[0]), _bits_of(key[1])), _bits_of(_constant(0x1BD11BDA))))
    keys = (*key, third)
    x0, bits1 = _sum(counter[0], keys[0]), _bits_of(_sum(counter[1], keys[1]))
    for block in range(5):
        for turn in noise.ROTATIONS[block % 2]:
            x0 = _sum(x0, _halves_of(bits1))
            bits1 = _xor(tf.concat([bits1[:, 32 - turn:], bits1[:, :32 - turn]], 1), _bits_of(x0))
        x0 = _sum(x0, keys[(block + 1) % 3])
        bits1 = _bits_of(_sum(_halves_of(bits1), keys[(block + 2) % 3], _constant(block + 1)))
    return _bits_of(x0), bits1


# Giles (2010), "Approximating the erfinv function", single precision: near the centre and in the tails.
_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
           0.246640727, 1.50140941)
_TAILS = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
          1.00167406, 2.83297682)
# Press et al. (1992), "Numerical Recipes", section 6.2: erfc(x) = t exp(-x^2 + polynomial of t), t = 1 / (1 + x / 2).
_ERFC = (0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
         -1.26551223)


def _polynomial(coefficients, x):
    made = tf.zeros_like(x) + coefficients[0]
    for coefficient in coefficients[1:]:
        made = made * x + coefficient
    return made


def normal_quantile(u):
    """`noise.normal_quantile` to 1e-6, relative above 1."""
    w = -tf.math.log(4.0 * u * (1.0 - u))
    return 2.0**0.5 * (2.0 * u - 1.0) * tf.where(
        w < 5.0, _polynomial(_CENTRE, w - 2.5), _polynomial(_TAILS, tf.sqrt(tf.maximum(w, 0.0)) - 3.0))


def normal_tail(x):
    """`noise.normal_tail` to 1e-6, relative."""
    x = 0.5**0.5 * x
    t = 1.0 / (1.0 + 0.5 * x)
    return 0.5 * t * tf.exp(_polynomial(_ERFC, t) - x * x)


class Floats:
    """Operations for `noise.computed_by`: seeds are known by the words from which they were made.

    A graph hands seeds on as int64 (B,), which some runtimes narrow to 32 bits; they are only names here: their words
    are kept beside, from `named` for an input and `seeds_of` for images.
    """

    normal_quantile, normal_tail = staticmethod(normal_quantile), staticmethod(normal_tail)

    def __init__(self):
        self.known = []

    def named(self, words):
        """A tensor int64 (B,) that stands for seeds of these words, (B, 4) of 16 bits."""
        name = tf.zeros(tf.shape(words)[:1], tf.int64)
        self.known.append((name, [tf.cast(words[:, column:column + 1], tf.float32) for column in range(WORDS)]))
        return name

    def words(self, seeds):
        """The four columns (B, 1) of a tensor from `named` or `seeds_of`.

        Raises:
            UserError: for other seeds.
        """
        found = [words for name, words in self.known if name is seeds]
        require(found, "its noise is of seeds that the graph computes")
        return found[0]

    def top_bits(self, seeds, count, use):
        """As `noise.computed_by` says."""
        words = self.words(seeds)
        rows = tf.shape(words[0])[0]
        # Rows of all pairs (seed, position), so that matrices have two dimensions.
        spread = [tf.reshape(tf.tile(word, (1, count)), (-1, 1)) for word in words]
        position = [tf.tile(half, (rows, 1)) for half in _constant(np.arange(count))]
        use = [tf.reshape(half, (1, 1)) for half in _carried([tf.cast(use, tf.float32), 0.0])]
        made = threefry((spread[:2], spread[2:]), (use, position))
        powers = np.float32(2.0) ** np.arange(23, dtype=np.float32)[:, None]
        return tuple(tf.reshape(tf.matmul(bits[:, 9:], powers), (-1, count)) for bits in made)

    def seeds_of(self, images):
        """`noise.seeds_of`: a tensor that stands for the hash of each image."""
        count = int(np.prod(images.shape[1:]))
        chunks = -(-count // CHUNK)
        require(chunks <= 2**14, f"its noise is of the hash of {count} values, at most {CHUNK * 2**14}")
        bytes_of = noise.weights(count)[:, None] >> np.arange(0, 64, 8) & 0xFF
        table = np.pad(bytes_of, ((0, chunks * CHUNK - count), (0, 0))).reshape(chunks, CHUNK, 8).astype(np.float32)
        levels = tf.round(tf.cast(images, tf.float32) * 255.0) + 1.0
        levels = tf.pad(tf.reshape(levels, (-1, count)), ((0, 0), (0, chunks * CHUNK - count)))
        sums = tf.reduce_sum(tf.reshape(levels, (-1, chunks, CHUNK, 1)) * table, 2)  # (B, chunks, 8), < 2^24
        # Bytes of the sums of each chunk, added in their places: < 2^24 again.
        places = [0.0] * 8
        for column in range(8):
            low, middle, high = _carried([sums[:, :, column], 0.0, 0.0], 256.0)
            for place, part in zip(range(column, 8), (low, middle, high)):
                places[place] += tf.reduce_sum(part, 1, keepdims=True)
        total = _carried(places, 256.0)
        bits = _bits_of([total[k] + 256.0 * total[k + 1] for k in range(0, 8, 2)])
        # x ^ (x >> 29), whose shift repeats the sign; then the sign is cleared.
        folded = _xor(bits, tf.concat([bits[:, 29:], *[bits[:, 63:]] * 29], 1))
        words = tf.concat(_halves_of(tf.concat([folded[:, :63], tf.zeros_like(bits[:, 63:])], 1)), 1)
        return self.named(words)

"""Seeds of the user, whole numbers from 0 to 2^63 - 1, converted to the ranges of the libraries."""

import keras
import numpy as np

from tfgen.errors import UserError


def folded(seed, bits=32):
    """A seed of at most `bits` bits: the seed itself where it fits, else a hash of it.

    Args:
        seed: int in 0 ... 2^63 - 1.
        bits: at most 32.

    Raises:
        UserError: for another seed.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise UserError(f"a seed expects a whole number in 0 ... 2^63 - 1, received {seed!r}")
    seed = int(seed)
    return seed if seed < 2**bits else int(np.random.SeedSequence(seed).generate_state(1)[0]) >> (32 - bits)


def set_random(seed):
    """Seeds Python's, NumPy's, TensorFlow's and so Keras' random state. Errors as for `folded`."""
    keras.utils.set_random_seed(folded(seed))


def of_samples(seed, count):
    """Seeds of `count` samples, int64 (count,); two values of `seed` below 2^31 share none. Errors as for `folded`."""
    return (folded(seed, 31) << 32) + np.arange(count)

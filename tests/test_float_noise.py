"""Noise in float32 arithmetic: the integers of `noise`, whatever TensorFlow does to the graph."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import float_noise, noise
from tfgen.errors import UserError

SEEDS = np.array([0, 1, 65535, 65536, 2**31 - 5, 2**32 + 7, 2**62 + 12345678901, 2**63 - 1])


@pytest.fixture
def rewritten():
    """Graphs are rewritten as they are for users: constant folding must not change whole numbers."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def in_graph(call, argument):
    return tf.function(call, autograph=False)(tf.constant(argument))


def drawn(call, seeds=SEEDS):
    """What `call(seeds)` draws in a graph in float arithmetic."""

    def traced(words):
        floats = float_noise.Floats()
        with noise.computed_by(floats):
            return call(floats.named(words))

    return in_graph(traced, float_noise.words_of(seeds)).numpy()


def test_threefry_known_answers(rewritten):
    """Test vectors of the Random123 distribution (threefry2x32, 20 rounds)."""
    vectors = [((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
               ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
               ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))]
    words = np.array([[word >> shift & 0xFFFF for word in (*key, *counter) for shift in (0, 16)]
                      for key, counter, _ in vectors], np.float32)

    def cipher(words):
        halves = tf.split(words, 8, axis=1)
        return tf.stack(float_noise.threefry((halves[:2], halves[2:4]), (halves[4:6], halves[6:])), 1)

    bits = in_graph(cipher, words).numpy()  # (vectors, 2, 32)
    assert set(np.unique(bits)) == {0.0, 1.0}
    made = [[sum(int(bit) << k for k, bit in enumerate(word)) for word in row] for row in bits]
    assert made == [list(wanted) for *_, wanted in vectors]


@pytest.mark.rotating
@pytest.mark.parametrize("shape, use", [((3,), noise.LATENT), ((4, 4, 2), noise.STYLES + 256 * 1000), ((), noise.LEVELS)])
def test_numbers_are_those_of_the_integers(shape, use, rewritten):
    np.testing.assert_array_equal(drawn(lambda seeds: noise.uniform(seeds, shape, use)), noise.uniform(SEEDS, shape, use))
    np.testing.assert_allclose(drawn(lambda seeds: noise.normal(seeds, shape, tf.constant(use))),
                               noise.normal(SEEDS, shape, use), atol=2e-6)


@pytest.mark.rotating
@pytest.mark.parametrize("shape", [(2, 3, 1), (28, 28, 3)])
def test_hashes_of_images_are_those_of_the_integers(shape, rewritten):
    x = np.random.default_rng(0).uniform(size=(20, *shape)).astype("float32")
    x[0], x[1] = 0.0, 1.0

    def hashed(images):
        floats = float_noise.Floats()
        with noise.computed_by(floats):
            seeds = noise.seeds_of(images)
            return tf.concat(floats.words(seeds), 1), noise.uniform(seeds, (2,))

    words, uniforms = in_graph(hashed, x)
    np.testing.assert_array_equal(words, float_noise.words_of(noise.seeds_of(x).numpy()))
    np.testing.assert_array_equal(uniforms, noise.uniform(noise.seeds_of(x), (2,)))


def test_quantiles_and_tails_of_the_normal_distribution():
    u = np.concatenate([np.logspace(-7.2, -0.4, 200), 1 - np.logspace(-7, -0.4, 200)]).astype("float32")
    wanted = scipy.special.ndtri(u.astype(float))
    np.testing.assert_allclose(float_noise.normal_quantile(tf.constant(u)), wanted, rtol=2e-6, atol=2e-6)
    x = np.linspace(0, 6, 100).astype("float32")
    np.testing.assert_allclose(float_noise.normal_tail(tf.constant(x)), scipy.stats.norm.sf(x.astype(float)), rtol=4e-6)


def test_words_of_seeds():
    np.testing.assert_array_equal(float_noise.words_of([0, 65537, 2**62]), [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 2**14]])
    for wrong in ([3, -1], [0.5]):
        with pytest.raises(UserError, match="expected seeds that are whole numbers >= 0, received"):
            float_noise.words_of(wrong)


def test_seeds_that_are_not_known_are_refused():
    """A seed that a graph computes is only a name without words: never another number."""
    with noise.computed_by(float_noise.Floats()), pytest.raises(UserError, match="of seeds that the graph computes"):
        noise.uniform(tf.range(3, dtype=tf.int64), (2,))


def test_integers_are_back_after_the_block():
    with pytest.raises(ZeroDivisionError), noise.computed_by(float_noise.Floats()):
        raise ZeroDivisionError
    assert noise.uniform([-1], (2,)).shape == (1, 2)


def test_seeds_of_rows_in_their_own_units_are_those_of_the_integers(rewritten):
    rows = (2000.0 + 5.0 * np.random.default_rng(0).normal(size=(50, 6))).astype("float32")
    scaling = (2000.0,) * 6, (5.0,) * 6

    def traced(x):
        with noise.computed_by(float_noise.Floats()):
            return noise.uniform(noise.seeds_of(x, scaling), (3,), noise.LATENT)

    np.testing.assert_array_equal(in_graph(traced, rows), noise.uniform(noise.seeds_of(rows, scaling), (3,), noise.LATENT))

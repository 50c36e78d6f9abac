"""Layers of image-to-image translation against hand-worked values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import ImagePool, ReflectionPadding2D, SeededDropout


def test_reflection_padding_mirrors_without_the_border():
    x = np.arange(4.0, dtype="float32").reshape(1, 2, 2, 1)
    layer = ReflectionPadding2D(1)
    padded = np.asarray(layer(x))[0, :, :, 0]
    np.testing.assert_array_equal(padded, [[3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0]])
    assert layer.compute_output_shape((None, 2, 2, 1)) == (None, 4, 4, 1)


def test_seeded_dropout_is_noise_of_each_images_seed():
    layer, x = SeededDropout(0.25), np.ones((4, 20, 20, 2), "float32")
    made = np.asarray(layer([x, np.array([5, 6, 5, 7])]))
    assert set(np.unique(made)) == {0.0, np.float32(1 / 0.75)}
    assert (made == 0).mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(made[0], made[2])
    assert np.abs(made[0] - made[1]).max() > 0
    other = np.asarray(SeededDropout(0.25, use=1)([x, np.array([5, 6, 5, 7])]))
    assert (other != made).mean() > 0.2
    fresh = np.asarray(layer([x, np.full(4, -1)]))
    assert np.abs(fresh[0] - fresh[1]).max() > 0


def test_seeded_dropout_in_training_ignores_seeds():
    layer, x = SeededDropout(0.5), np.ones((2, 50), "float32")
    first, second = (np.asarray(layer([x, np.array([1, 1])], training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0 and np.abs(first[0] - first[1]).max() > 0
    with pytest.raises(ValueError, match="a share in"):
        SeededDropout(1.0)


def numbered(*values):
    """Images of one pixel that can be told apart."""
    return np.array(values, "float32").reshape(-1, 1, 1, 1)


def test_pool_fills_then_exchanges_half():
    keras.utils.set_random_seed(0)
    pool = ImagePool((1, 1, 1), 4)
    np.testing.assert_array_equal(pool(numbered(1, 2, 3)), numbered(1, 2, 3))
    assert int(pool.count) == 3
    # The fourth place is filled by the first of these; the second takes part in the exchange.
    out = np.asarray(pool(numbered(4, 5))).ravel()
    assert out[0] == 4 and out[1] in (1, 2, 3, 5) and int(pool.count) == 4
    stored = set(np.asarray(pool.images).ravel())
    assert stored == {1, 2, 3, 4, 5} - {out[1]}
    exchanged, step = 0, tf.function(pool, autograph=False)
    for number in range(6, 206):
        stored = set(np.asarray(pool.images).ravel())
        got = float(step(tf.constant(numbered(number)))[0, 0, 0, 0])
        now = set(np.asarray(pool.images).ravel())
        # What comes out is new and not kept, or old and replaced: nothing is lost or doubled.
        assert now == stored if got == number else now == stored - {got} | {number}
        exchanged += got != number
    assert 75 < exchanged < 125


def test_pool_never_gives_what_it_has_not_stored():
    """A batch that fills the pool and goes on: its last images may only be exchanged for earlier batches' images."""
    seen = set()
    for trial in range(30):
        pool = ImagePool((1, 1, 1), 5, seed=trial)
        pool(numbered(1, 2, 3))
        out = np.asarray(pool(numbered(4, 5, 6, 7))).ravel()
        assert list(out[:2]) == [4, 5] and set(out[2:]) <= {1, 2, 3, 6, 7} and out[2] != out[3]
        seen.add(tuple(out))
    assert len(seen) > 5


def test_pool_takes_batches_larger_than_itself():
    pool = ImagePool((1, 1, 1), 2)
    np.testing.assert_array_equal(pool(numbered(1, 2, 3)), numbered(1, 2, 3))
    for start in range(0, 60, 3):
        batch = numbered(*range(start + 10, start + 13))
        out = np.asarray(pool(batch)).ravel()
        assert out[2] == batch.ravel()[2] and len(set(out)) == 3
    assert int(pool.count) == 2
    with pytest.raises(ValueError, match="at least 1"):
        ImagePool((1, 1, 1), 0)


@pytest.mark.parametrize(("size", "sides"), [(1, (4, 4)), (1, (5, 9)), (3, (8, 8)), (3, (16, 11)), (1, (2, 3)), (0, (4, 4))])
def test_reflection_padding_and_its_gradient_are_those_of_numpy_and_tensorflow(size, sides):
    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(size=(2, *sides, 3)).astype("float32"))
    pad = ((0, 0), (size, size), (size, size), (0, 0))
    weights = tf.constant(generator.normal(size=(2, sides[0] + 2 * size, sides[1] + 2 * size, 3)).astype("float32"))

    def gradients(padded):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = padded(x)
                value = tf.reduce_sum(weights * y**2)
            first = tape.gradient(value, x)
            second = tf.reduce_sum(first**2)
        return y, first, outer.gradient(second, x)

    layer = ReflectionPadding2D(size)
    found = gradients(layer)
    for ours, theirs in zip(found, gradients(lambda x: tf.pad(x, pad, "REFLECT"))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[0], np.pad(x, pad, "reflect"))
    assert layer.compute_output_shape(x.shape) == found[0].shape


def test_reflection_padding_of_unknown_sides_and_in_half_precision():
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")
    wanted = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    unknown = tf.function(ReflectionPadding2D(2), input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_array_equal(unknown(x), wanted)
    np.testing.assert_array_equal(ReflectionPadding2D(2, dtype="float16")(x), wanted.astype("float16"))

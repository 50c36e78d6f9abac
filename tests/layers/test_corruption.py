import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import EraseRegion, GaussianCorruption, MaskPixels, SaltAndPepper

X = np.random.default_rng(0).uniform(0.2, 0.8, (64, 12, 10, 3)).astype("float32")


@pytest.mark.parametrize("layer", [GaussianCorruption(0.3), MaskPixels(0.3), SaltAndPepper(0.3), EraseRegion()])
def test_active_in_training_only_and_a_function_of_seeds(layer):
    x = tf.constant(X)
    np.testing.assert_array_equal(layer(x, training=False), X)
    np.testing.assert_array_equal(layer(x), X)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert np.abs(first - X).max() > 0.1 and np.abs(first - second).max() > 0.1
    seeded = layer.seeded(x, np.arange(64)).numpy()
    np.testing.assert_array_equal(layer.seeded(x[5:6], [5]).numpy()[0], seeded[5])
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_gaussian_has_its_sigma():
    difference = GaussianCorruption(0.3).seeded(tf.constant(X), np.arange(64)).numpy() - X
    assert difference.std() == pytest.approx(0.3, rel=0.02) and abs(difference.mean()) < 0.01


def test_masking_and_salt_and_pepper_hit_their_share_in_all_channels():
    masked = MaskPixels(0.3).seeded(tf.constant(X), np.arange(64)).numpy()
    assert np.mean(masked == 0) == pytest.approx(0.3, abs=0.02)
    assert np.array_equal((masked == 0).any(-1), (masked == 0).all(-1))
    salted = SaltAndPepper(0.3).seeded(tf.constant(X), np.arange(64)).numpy()
    assert np.mean(salted == 0) == pytest.approx(0.15, abs=0.02)
    assert np.mean(salted == 1) == pytest.approx(0.15, abs=0.02)
    kept = (salted != 0) & (salted != 1)
    np.testing.assert_array_equal(salted[kept], X[kept])


def test_erased_is_one_rectangle_within_its_sizes():
    x = tf.zeros((2000, 12, 10, 3))
    erased = EraseRegion(0.25, 0.5, fill=-1.0).seeded(x, np.arange(2000)).numpy()[..., 0] == -1
    for mask in erased:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all()
        assert mask.sum() == len(rows) * len(columns)
        assert 3 <= len(rows) <= 6 and 2 <= len(columns) <= 5
    covered = erased.mean(0)
    assert covered[0, 0] > 0 and covered[-1, -1] > 0


@pytest.mark.parametrize("make", [lambda: GaussianCorruption(-1), lambda: MaskPixels(2), lambda: EraseRegion(0.6, 0.5)])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="expects"):
        make()

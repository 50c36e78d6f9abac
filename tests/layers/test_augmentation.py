"""Augmentations of training images."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfgen.layers import Jitter, Rotation


def test_jitter_is_a_resize_a_crop_and_a_mirror():
    """scale 3/2 of 4 pixels: 6, of which 4 at a place that the uniforms choose."""
    x = np.random.default_rng(0).random((2, 4, 4, 3), "float32")
    large = tf.image.resize(x, (6, 6)).numpy()
    # start = floor(u * 3): 2 rows down, 1 column right; the second image mirrored.
    uniforms = np.array([[0.99, 0.4, 0.9], [0.99, 0.4, 0.1]], "float32")
    made = np.asarray(Jitter(1.5).corrupt(x, tf.constant(uniforms)))
    np.testing.assert_allclose(made[0], large[0, 2:6, 1:5], atol=1e-6)
    np.testing.assert_allclose(made[1], large[1, 2:6, 1:5][:, ::-1], atol=1e-6)


def test_jitter_without_scale_only_mirrors():
    x = np.random.default_rng(0).random((64, 5, 7, 1), "float32")
    seeds = np.arange(64)
    made = np.asarray(Jitter(1.0).seeded(x, seeds))
    same = np.array([np.allclose(m, i, atol=1e-6) for m, i in zip(made, x)])
    mirrored = np.array([np.allclose(m, i[:, ::-1], atol=1e-6) for m, i in zip(made, x)])
    assert np.all(same ^ mirrored) and 15 < mirrored.sum() < 49
    np.testing.assert_array_equal(made, Jitter(1.0).seeded(x, seeds))
    np.testing.assert_allclose(Jitter(1.0, flip=False).seeded(x, seeds), x, atol=1e-6)
    with pytest.raises(ValueError, match="at least 1"):
        Jitter(0.9)


def test_rotation_is_that_of_scipy():
    """Uniforms of 1 and 0 give the extreme angles."""
    x = np.random.default_rng(0).random((2, 9, 9, 2), "float32")
    made = np.asarray(Rotation(30.0).corrupt(x, tf.constant([[1.0, 0.0], [0.0, 0.0]])))
    for image, found, angle in zip(x, made, (30.0, -30.0)):
        wanted = ndimage.rotate(image, angle, order=1, reshape=False, mode="reflect")
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_rotation_of_oblong_images_by_half_a_turn_and_mirrored():
    x = np.random.default_rng(0).random((2, 5, 8, 1), "float32")
    made = np.asarray(Rotation(180.0, flip=True).corrupt(x, tf.constant([[0.0, 0.9], [0.5, 0.1]])))
    np.testing.assert_allclose(made[0], x[0, ::-1, ::-1], atol=1e-4)
    np.testing.assert_allclose(made[1], x[1, :, ::-1], atol=1e-4)


def test_rotation_is_a_function_of_the_seed():
    x = np.random.default_rng(0).random((3, 6, 6, 1), "float32")
    layer, seeds = Rotation(45.0), np.array([4, 7, 4])
    made = np.asarray(layer.seeded(x, seeds))
    np.testing.assert_allclose(layer.seeded(x[1:2], seeds[1:2])[0], made[1], atol=1e-6)
    assert np.abs(made - x).max() > 0.1
    np.testing.assert_array_equal(Rotation(0.0).seeded(x, seeds), x)
    with pytest.raises(ValueError, match="0 ... 180, received 200"):
        Rotation(200.0)

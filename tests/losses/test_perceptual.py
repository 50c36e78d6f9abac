"""Perceptual distances against float64, and the turns that train their network."""

import numpy as np
import tensorflow as tf

from tfgen.losses import perceptual, perceptual_distance


def test_distance_is_that_of_float64():
    rng = np.random.default_rng(0)
    ours, theirs = ([rng.normal(size=(3, side, side, 4)) for side in (2, 3)] for _ in range(2))
    ours[0][0, 0, 0] = 0.0  # a position without features
    wanted = 0.0
    for a, b in zip(ours, theirs):
        length = [np.sqrt(np.square(one).sum(-1, keepdims=True)) for one in (a, b)]
        a, b = (one / np.where(size > 0, size, 1) for one, size in zip((a, b), length))
        wanted = wanted + np.square(a - b).sum(-1).mean((1, 2))
    found = perceptual_distance(*([one.astype("float32") for one in maps] for maps in (ours, theirs)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(perceptual_distance(ours, ours), 0.0)
    # Of half precision, too.
    half = perceptual_distance(*([one.astype("float16") for one in maps] for maps in (ours, theirs)))
    np.testing.assert_allclose(half, wanted, rtol=1e-2)


def test_images_are_turned_four_ways():
    square = np.random.default_rng(0).random((2, 5, 5, 1)).astype("float32")
    turned, kinds = perceptual.turned(tf.constant(square))
    assert turned.shape == (8, 5, 5, 1) and kinds.numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for row, kind in enumerate(kinds.numpy()):
        np.testing.assert_array_equal(turned[row], np.rot90(square[row % 2], kind))
    oblong, _ = perceptual.turned(tf.constant(square[:, :3]))
    np.testing.assert_array_equal(oblong[2:4], square[:, :3][:, ::-1, ::-1])

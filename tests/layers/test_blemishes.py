"""Simulated defects: what they cover, and with what."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import noise
from tfgen.layers import Blemishes
from tfgen.layers.blemishes import band, distance, smooth

X = np.random.default_rng(0).uniform(0.3, 0.7, (200, 32, 24, 3)).astype("float32")


def blemished(layer=Blemishes(), x=X):
    x = tf.constant(x)
    return [made.numpy() for made in layer.blemish(x, layer.uniforms(x, training=False))]


def test_nothing_outside_the_mask_is_much_changed_and_what_is_inside_is():
    images, masks = blemished()
    assert images.shape == X.shape and masks.shape == (200, 32, 24, 1) and set(np.unique(masks)) == {0.0, 1.0}
    assert images.min() >= 0 and images.max() <= 1
    changed = np.abs(images - X)
    # A mask under a quarter, of contents within two of the grey levels.
    assert changed[np.broadcast_to(masks == 0, X.shape)].max() <= 0.25
    assert changed[np.broadcast_to(masks == 1, X.shape)].mean() > 10 * changed[np.broadcast_to(masks == 0, X.shape)].mean()


def test_about_one_image_in_ten_is_left_clean_and_none_is_covered_altogether():
    images, masks = blemished()
    share = masks.mean((1, 2, 3))
    assert 0.05 < np.mean(share == 0) < 0.3 and 0.02 < share.mean() < 0.3
    clean = np.all(images == X, axis=(1, 2, 3))
    assert 0.04 < clean.mean() < 0.25 and np.all(share[clean] == 0)


def test_a_blemish_is_a_function_of_the_image_out_of_training():
    layer = Blemishes(seed=3)
    images, masks = blemished(layer)
    some, few = blemished(layer, X[5:9])
    np.testing.assert_allclose(some, images[5:9], atol=1e-6)
    np.testing.assert_array_equal(few, masks[5:9])
    first, second = (layer(tf.constant(X), training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(layer(X), X)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


def test_grey_images_have_grey_blemishes_and_coloured_ones_coloured():
    images, masks = blemished(x=np.repeat(X[..., :1], 3, axis=-1))
    assert masks.mean() > 0.02 and np.ptp(images, axis=-1).max() < 1e-6
    images, masks = blemished()
    areas = [np.ptp(image[mask[..., 0] == 1].mean(0)) for image, mask in zip(images, masks) if mask.any()]
    assert np.mean(np.array(areas) > 0.1) > 0.5


def test_opacity_one_covers_rectangles_altogether():
    """A rectangle of one colour without noise is that colour."""
    layer = Blemishes(opacity=1.0)
    images, masks = blemished(layer)
    numbers = noise.uniform(noise.seeds_of(tf.constant(X)), layer.noise_shape(X.shape[1:]), layer.use).numpy()
    spread = [image[mask[..., 0] == 1].std(0).max() for image, mask in zip(images, masks) if mask.sum() > 20]
    assert numbers.shape == (200, sum(layer.sizes((32, 24, 3)))) and min(spread) < 1e-6


def test_parts_by_hand():
    field = smooth(np.random.default_rng(0).random((50, 25), "float32"), 5, 5, 32, 24).numpy()
    np.testing.assert_allclose(field.std((1, 2, 3)), 1.0, rtol=1e-3)
    # A plane of slope 2 is zero half its value away.
    plane = 2.0 * (np.arange(8.0, dtype="float32") - 3.0)[None, None, :, None] * np.ones((1, 8, 1, 1), "float32")
    wanted = np.abs(np.arange(7) - 3.0)[None].repeat(7, 0)
    np.testing.assert_allclose(distance(tf.constant(plane))[0, :7, :7, 0], wanted, rtol=2e-3)
    one = tf.constant([[[[3.0]]]])
    np.testing.assert_array_equal(np.ravel(band(one, tf.constant([[[[1.5]]]]), (1, -1, 1, 1), 6)), [0, 0, 1, 1, 1, 0])


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (1, 5, 1)])
def test_any_size(shape):
    images, masks = blemished(x=np.full((6, *shape), 0.5, "float32"))
    assert images.shape == (6, *shape) and masks.shape == (6, *shape[:2], 1) and np.all(np.isfinite(images))


def test_bad_opacity():
    with pytest.raises(ValueError, match=r"share in \(0, 1\], received 0"):
        Blemishes(0)

"""DRAEM: its loss by hand, its map, what it finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import recipes
from tfgen.data import DataSpec
from tfgen.layers import Blemishes, differences
from tfgen.networks import translation

SHAPE = (16, 16, 1)


def image_batch(rows=4, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(0.3, 0.7, (rows, *SHAPE)).astype("float32"))


def unet(taken, given):
    return translation.unet((16, 16, taken), (16, 16, given), 4, None, 0.0, 2)


def test_loss_by_hand():
    """3 E |x - R(x')| - E [m log p + (1 - m) log(1 - p)] with p = S(x', R(x'))."""
    model, x = tfgen.DRAEM(unet(1, 1), unet(2, 1), Blemishes(), l1_weight=3.0), image_batch()
    blemished, mask = model.blemishes.blemish(x, model.blemishes.uniforms(x, training=False))
    repaired = model.repairer(blemished)
    p = model.segmenter(np.concatenate([blemished, repaired], -1)).numpy().astype("float64")
    l1 = np.mean(np.abs(x - repaired))
    entropy = -np.mean(np.where(mask == 1, np.log(p), np.log(1.0 - p)))
    found = model.compute_losses((x, tf.zeros(4, tf.int64)), training=False)
    assert float(found["l1"]) == pytest.approx(l1, rel=1e-5)
    assert float(found["segmentation"]) == pytest.approx(entropy, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(3.0 * l1 + entropy, rel=1e-5)


def test_map_is_the_segmenters_smoothed_and_score_that_of_its_highest_pixels():
    model, x = tfgen.DRAEM(unet(1, 1), unet(2, 1), Blemishes(), blur=1.5), image_batch()
    plain = model.segmenter(np.concatenate([x, model.reconstruct(x)], -1))[..., 0]
    maps = model.anomaly_map(x)
    np.testing.assert_allclose(maps, differences.blurred(plain, 1.5), atol=1e-6)
    np.testing.assert_allclose(model.score(x), maps.numpy().max((1, 2)))
    model.top = 0.25
    np.testing.assert_allclose(model.score(x), np.sort(maps.numpy().reshape(4, -1))[:, -64:].mean(1), rtol=1e-5)


@pytest.mark.rotating
def test_a_planted_square_is_found_and_repaired():
    """Of a smooth surface, after a few seconds of training: no defect that it was told of."""
    keras.utils.set_random_seed(0)
    model = recipes.find("draem").model(DataSpec("smooth", SHAPE), filters=8, levels=2, norm="none", learning_rate=5e-3)
    surface = 0.5 + 0.2 * np.sin(np.arange(16) / 3.0 + np.random.default_rng(0).uniform(0, 6, (32, 1)))
    x = np.broadcast_to(surface[:, None, :, None], (32, *SHAPE)).astype("float32")
    model.fit(tf.data.Dataset.from_tensors(x).repeat(700), epochs=1, verbose=0)
    strange = x.copy()
    strange[:, 5:9, 10:14] = 1.0
    score, normal = model.score(strange).numpy(), model.score(x).numpy()
    assert tfgen.metrics.auroc(np.arange(64) < 32, np.concatenate([score, normal])) > 0.95
    masks = np.zeros((32, 16, 16), bool)
    masks[:, 5:9, 10:14] = True
    assert tfgen.metrics.pixel_auroc(masks, model.anomaly_map(strange).numpy()) > 0.95
    assert np.abs(model.reconstruct(strange) - x)[masks].mean() < 0.5 * np.abs(strange - x)[masks].mean()


def test_mistakes_name_both_sides():
    with pytest.raises(ValueError, match=r"those it takes, \(16, 16, 2\), it gives \(16, 16, 1\)"):
        tfgen.DRAEM(unet(2, 1), unet(2, 1), Blemishes())
    with pytest.raises(ValueError, match=r"map \(16, 16, 2\) to \(16, 16, 1\) .* it maps \(16, 16, 1\)"):
        tfgen.DRAEM(unet(1, 1), unet(1, 1), Blemishes())

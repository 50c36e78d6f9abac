"""Region-based anomaly detection: what is erased, what is predicted, the losses by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import recipes
from tfgen.data import DataSpec
from tfgen.layers import EraseLattice
from tfgen.layers.differences import SquaredError, StandardisedError
from tfgen.networks import translation

SHAPE = (16, 16, 1)


def image_batch(rows=3, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).random((rows, *shape), "float32")


def model_of(generator=None, side=4, gap=5, stride=2, shape=SHAPE, **arguments):
    generator = generator or translation.unet((*shape[:2], shape[2] + 1), shape, 4, dropout=0.0, levels=2)
    return tfgen.RegionInpainter(generator, translation.patchgan(shape, None, 4, 1), EraseLattice(side, gap), stride,
                                 **arguments)


def copier(shape=SHAPE):
    """A generator that gives back what it sees."""
    seen = keras.Input((*shape[:2], shape[2] + 1))
    return keras.Model(seen, seen[..., :shape[2]])


def surroundings(shape=SHAPE, size=11):
    """A generator that fills in the mean of what is not erased nearby."""
    seen = keras.Input((*shape[:2], 2))
    known = 1.0 - seen[..., 1:]

    def total(x):
        return keras.layers.AveragePooling2D(size, 1, "same")(x)

    return keras.Model(seen, total(seen[..., :1] * known) / keras.ops.maximum(total(known), 1e-6))


@pytest.mark.parametrize("side, gap", [(1, 1), (4, 5), (8, 8)])
def test_a_lattice_erases_squares_of_one_size_far_apart(side, gap):
    erase = EraseLattice(side, gap)
    period = side + gap
    starts = tf.constant([[row, column] for row in range(period) for column in range(period)])
    masks = erase.lattice(starts, 2 * period, 3 * period).numpy()
    assert masks.shape == (period**2, 2 * period, 3 * period, 1)
    # Six squares a lattice, in every place equally often.
    assert np.all(masks.sum((1, 2, 3)) == 6 * side**2) and np.all(masks.sum(0) == side**2)
    np.testing.assert_array_equal(np.argwhere(masks[0, :period, :period, 0]), np.argwhere(np.ones((side, side))))
    uniforms = np.random.default_rng(0).random((50, 2)).astype("float32")
    assert erase.mask(uniforms, 7, 9).numpy().any((1, 2, 3)).mean() > 0.3


def test_a_lattice_is_drawn_anew_in_training_only_and_seeded_by_images_alone():
    erase, x = EraseLattice(2, 2, seed=1), tf.constant(image_batch(8))
    np.testing.assert_array_equal(erase(x, training=False), x)
    first, second = erase(x, training=True).numpy(), erase(x, training=True).numpy()
    assert np.any(first != second) and set(first[first != x]) == {0.5}
    seeds = np.arange(8)
    np.testing.assert_array_equal(erase.seeded(x, seeds)[3:], erase.seeded(x[3:], seeds[3:]))
    with pytest.raises(ValueError, match="at least 1 pixel, received 0 and 3"):
        EraseLattice(0, 3)


@pytest.mark.parametrize("side, gap, stride", [(4, 5, 2), (4, 4, 4), (3, 7, 3), (1, 1, 1), (20, 20, 20)])
def test_every_pixel_is_predicted_from_passes_in_which_it_was_erased(side, gap, stride):
    """What copies its input sees nothing but the filling."""
    model = model_of(copier(), side, gap, stride)
    np.testing.assert_allclose(model.reconstruct(image_batch()), np.full((3, *SHAPE), 0.5), atol=1e-6)


@pytest.mark.rotating
@pytest.mark.parametrize("stride", [1, 4])
def test_a_pixel_has_no_say_in_its_own_prediction(stride):
    keras.utils.set_random_seed(0)
    model, x = model_of(stride=stride), image_batch(1)
    before = model.reconstruct(x).numpy()
    for row, column in ((0, 0), (7, 9), (15, 3)):
        changed = x.copy()
        changed[0, row, column] = 1.0 - changed[0, row, column]
        after = model.reconstruct(changed).numpy()
        assert abs(after - before)[0, row, column].max() < 1e-6 < abs(after - before).max()


def test_overlapping_predictions_are_averaged():
    model, x = model_of(surroundings(), 4, 5, 2), image_batch()
    total, count = np.zeros_like(x), np.zeros(SHAPE)
    for row in range(0, 9, 2):
        for column in range(0, 9, 2):
            at = [(np.arange(16) - start) % 9 < 4 for start in (row, column)]
            mask = (at[0][:, None] & at[1][None, :])[..., None]
            seen = np.concatenate([np.where(mask, 0.5, x), np.broadcast_to(mask, x.shape)], -1).astype("float32")
            total += np.where(mask, model.generator(seen), 0.0)
            count += mask
    np.testing.assert_allclose(model.reconstruct(x), total / count, atol=1e-6)


def test_a_bright_square_is_found():
    x = 0.4 + 0.02 * image_batch(2, (32, 32, 1))
    x[1, 9:12, 20:23] = 0.9
    model = model_of(surroundings((32, 32, 1)), 4, 5, 2, (32, 32, 1), difference=SquaredError(top=0.0))
    normal, strange = model.anomaly_map(x).numpy()
    at = np.unravel_index(strange.argmax(), strange.shape)
    assert 9 <= at[0] < 12 and 20 <= at[1] < 23
    assert strange[9:12, 20:23].min() > 10 * max(normal.max(), np.median(strange))
    assert model.score(x)[1] > 10 * model.score(x)[0]


def test_losses_by_hand():
    """1/2 E[log D(x) + log(1 - D(x'))] for the critic, 10 L1 within the regions and E[-log D(x')] for the generator."""
    model, x = model_of(copier(), objective=tfgen.losses.NonSaturating(), l1_weight=10.0), tf.constant(image_batch())
    made = model.generate(x, training=False)
    mask = made["mask"].numpy()[..., 0]
    np.testing.assert_allclose(made["image"].numpy()[..., 0], np.where(mask, 0.5, x[..., 0]))
    found = model.critic_losses(x, made, False) | model.generator_losses(x, made, False)
    l1 = np.abs(x.numpy()[mask].astype("float64") - 0.5).mean()
    real, fake = (1.0 / (1.0 + np.exp(-model.critic(image).numpy().astype("float64"))) for image in (x, made["image"]))
    assert float(found["l1"]) == pytest.approx(l1, rel=1e-5)
    assert float(found["generator_loss"]) == pytest.approx(10.0 * l1 - np.log(fake).mean(), rel=1e-5)
    assert float(found["critic_loss"]) == pytest.approx(-0.5 * (np.log(real).mean() + np.log(1 - fake).mean()), rel=1e-5)
    labelled = model.generator_losses((x, tf.zeros(3, tf.int64)), made, False)
    assert float(labelled["l1"]) == float(found["l1"])


@pytest.mark.rotating
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (28, 28, 1)])
def test_recipe_takes_any_size(shape):
    model = recipes.find("region_anomaly").model(DataSpec("any", shape), filters=4)
    made = model.reconstruct(image_batch(2, shape))
    assert made.shape == (2, *shape) and np.all(np.isfinite(made))
    assert model.anomaly_map(image_batch(2, shape)).shape == (2, *shape[:2])
    # The defaults leave surroundings to predict from.
    assert model.erasure.side + model.erasure.gap <= min(shape[:2])


def test_mistakes_name_both_sides():
    with pytest.raises(ValueError, match="stride expects 1 ... 4, the side of the regions, received 5"):
        model_of(stride=5)
    with pytest.raises(ValueError, match=r"\(16, 16, 2\), it takes \(16, 16, 1\)"):
        model_of(translation.unet(SHAPE, SHAPE, 4, dropout=0.0, levels=1))
    with pytest.raises(ValueError, match=r"images of \(16, 16, 1\), the critic takes \(24, 24, 1\)"):
        tfgen.RegionInpainter(copier(), translation.patchgan((24, 24, 1), None, 4, 1), EraseLattice())


def test_what_is_usual_at_a_pixel_is_the_error_where_it_was_erased(monkeypatch):
    """Of one image under every lattice, of which each pixel is in the same number."""
    seen = keras.Input((16, 16, 2))
    model = model_of(keras.Model(seen, 0.0 * seen[..., :1] + 0.3), side=2, gap=2, stride=2,
                     difference=StandardisedError(SHAPE))
    x = np.repeat(image_batch(1), 16, axis=0)
    grid = np.array([[row, column] for row in range(4) for column in range(4)], "float32") / 4
    monkeypatch.setattr(model.erasure, "uniforms", lambda x, training: tf.constant(grid))
    model.generator_losses(x, model.generate(x, True), True)
    np.testing.assert_allclose(model.difference.usual.average, np.square(x[0] - 0.3), rtol=1e-4)
    np.testing.assert_allclose(model.anomaly_map(x[:1]), 1.0, rtol=1e-3)

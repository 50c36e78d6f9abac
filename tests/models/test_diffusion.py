"""Diffusion models: parametrisations, losses, guidance, bounds, and verbs, beside closed forms."""

import functools
import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import SPEC, images, level_network, tiny

from tfgen import noise, recipes
from tfgen.errors import UserError
from tfgen.models.diffusion import (
    Clean,
    Diffusion,
    DiscreteDiffusion,
    Epsilon,
    GuidedDiffusion,
    Preconditioned,
    Straight,
    Velocity,
)
from tfgen.models.diffusion.denoiser import guided
from tfgen.samplers.noise_levels import KarrasLevels, LinearBetas, StraightLevels
from tfgen.verbs.live import Live

SHAPE, DEVIATION = (4, 4, 1), 0.5
network = functools.partial(level_network, SHAPE)


def gaussian():
    """The exact denoiser of images whose values are N(0.5, (DEVIATION / 2)^2): its network has nothing to add."""
    return Diffusion(network(), KarrasLevels(), Preconditioned(DEVIATION), steps=30, sampler="heun")


def blank(rows=3, value=0.25):
    return np.full((rows, *SHAPE), value, "float32")


@pytest.mark.parametrize("kind, target", [
    (Epsilon(), lambda x, e, a: e), (Clean(), lambda x, e, a: x), (Straight(), lambda x, e, a: e - x),
    (Velocity(), lambda x, e, a: a**0.5 * e - (1 - a)**0.5 * x)])
def test_parametrisations_agree_in_float64(kind, target):
    """The right output of the network gives the clean image, whatever is predicted; inputs are those of the papers."""
    rng = np.random.default_rng(0)
    sigma = np.exp(rng.normal(size=(6, 1)))
    x, e = rng.normal(size=(2, 6, 5))
    a = 1 / (1 + sigma**2)
    skip, out, scale = (np.asarray(part) for part in kind.coefficients(tf.constant(sigma)))
    noised = x + sigma * e
    np.testing.assert_allclose(skip * noised + out * target(x, e, a), x, rtol=1e-9, atol=1e-9)
    t = sigma / (1 + sigma)
    wanted = (1 - t) * x + t * e if isinstance(kind, Straight) else np.sqrt(a) * x + np.sqrt(1 - a) * e
    np.testing.assert_allclose(scale * noised, wanted, rtol=1e-9)


def test_preconditioning_has_inputs_and_targets_of_variance_1():
    rng, s = np.random.default_rng(0), 0.7
    for sigma in (0.01, 0.5, 30.0):
        skip, out, scale = (float(part) for part in Preconditioned(s).coefficients(tf.constant(sigma, tf.float64)))
        x, e = s * rng.normal(size=200_000), rng.normal(size=200_000)
        assert np.std(scale * (x + sigma * e)) == pytest.approx(1, rel=0.01)
        assert np.std((x - skip * (x + sigma * e)) / out) == pytest.approx(1, rel=0.01)


def test_the_loss_of_a_known_network():
    """epsilon: the mean of squared noise for a network that says 0; levels are spread over a batch."""
    model = Diffusion(network(), LinearBetas(), Epsilon())
    x = images(4000)[:, :4, :4]
    assert float(model.compute_losses(x, True)["loss"]) == pytest.approx(1, abs=0.02)
    sigma = np.sort(model.noisy(tf.constant(2 * x - 1), True)[0].numpy().ravel())
    wanted = LinearBetas().levels[np.minimum((np.arange(4000) + 0.5) / 4, 999).astype(int)]
    np.testing.assert_allclose(sigma, wanted, rtol=0.05)
    # Any place in a batch has any level.
    first = [float(model.noisy(tf.constant(2 * x[:8] - 1), True)[0][0, 0, 0, 0]) for _ in range(100)]
    assert np.quantile(first, 0.1) < levels_at(0.2) and np.quantile(first, 0.9) > levels_at(0.8)


def levels_at(share):
    return LinearBetas().levels[int(1000 * share)]


def test_no_draw_of_a_level_is_infinite(monkeypatch):
    for u in (0.0, 1.0 - 2.0**-24):
        monkeypatch.setattr(keras.random, "uniform", lambda shape, seed=None, u=u: tf.fill(shape, np.float32(u)))
        losses = gaussian().compute_losses(tf.constant(images(64)[:, :4, :4]), True)
        assert np.isfinite(float(losses["loss"]))


@pytest.mark.rotating
def test_samplers_of_an_exact_denoiser():
    model = gaussian()
    live, seeds = Live(model), np.arange(600)
    for sampler in ("heun", "dpm", "ancestral", "ddim"):
        made = live("sample", seeds, sampler=sampler, steps=400 if sampler in ("ddim", "ancestral") else 30)
        inside = made[(made > 0) & (made < 1)]
        # Values beyond +-2 deviations are clipped.
        assert inside.mean() == pytest.approx(0.5, abs=0.01) and np.mean(made == 0) == pytest.approx(0.0228, abs=0.006)
    z = noise.normal(tf.constant(seeds[:5]), SHAPE, noise.LATENT).numpy()
    wanted = np.clip(0.5 * (1 + DEVIATION * z / math.sqrt(1 + (DEVIATION / 80)**2)), 0, 1)
    np.testing.assert_allclose(live("sample", seeds[:5], steps=150), wanted, atol=2e-3)
    np.testing.assert_allclose(live("decode", z, steps=150), wanted, atol=2e-3)
    inside = np.abs(wanted - 0.5) < 0.49
    np.testing.assert_allclose(live("encode", wanted, steps=150)[inside], z[inside], atol=0.02)


@pytest.mark.parametrize("levels, coarse", [(KarrasLevels(), 0.08), (StraightLevels(), 0.08), (LinearBetas(), 0.3)])
def test_latents_of_images_begin_at_the_smallest_level(levels, coarse):
    """Of values of deviation s = 0.1, the latent is (x - mean) / s but for what the largest level leaves."""
    live, s = Live(Diffusion(network(), levels, Preconditioned(0.1))), 0.1
    z = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype("float32")
    largest = float(levels.sigma(0.0))
    x = (0.5 * (1 + s * z)).astype("float32")
    wanted = z * math.sqrt(s**2 + largest**2) / largest
    for steps, tolerance in ((20, coarse), (200, 0.02)):
        error = live("encode", x, steps=np.full(4, steps)) - wanted
        assert np.sqrt(np.mean(error**2)) < tolerance


class Pairs(Diffusion):
    """The exact denoiser of images whose upper and lower halves are two values of N(0, DEVIATION^2), correlation 0.8."""

    def outputs(self, x, sigma, label=None, training=False):
        pair = DEVIATION**2 * np.array([[1, 0.8], [0.8, 1]], "float32")
        means = tf.reduce_mean(tf.reshape(x, (-1, 2, 8)), -1)
        noisy = pair + tf.square(sigma[:, :, 0]) * tf.eye(2) / 8
        clean = tf.repeat(tf.linalg.solve(noisy, means[..., None])[..., 0] @ pair, 8, axis=1)
        return tf.reshape(clean, tf.shape(x))


@pytest.mark.rotating
def test_completed_pixels_follow_the_known_ones():
    """Given one value, the other is N(0.8 times it, 0.6^2 DEVIATION^2)."""
    live = Live(Pairs(network(), KarrasLevels(), Clean(), steps=60))
    x, masks = blank(400, 0.75), np.zeros((400, *SHAPE[:2]), "float32")
    masks[:, :2] = 1
    once, often = (2 * live("complete", x, masks, np.arange(400), visits=visits)[:, 2:] - 1 for visits in (1, 20))
    assert often.mean() == pytest.approx(0.4, abs=0.05) and often.mean((1, 2, 3)).std() == pytest.approx(0.3, abs=0.04)
    assert once.mean() < 0.35
    mixed = live("complete", x[:2], masks[:2], np.arange(2), visits=np.array([1, 20]))
    np.testing.assert_allclose(2 * mixed[:, 2:] - 1, [once[0], often[1]], atol=1e-4)


@pytest.mark.rotating
def test_known_pixels_stay_and_the_others_are_drawn():
    live, x, masks = Live(gaussian()), blank(200), np.zeros((200, *SHAPE[:2]), "float32")
    masks[:, :2] = 1
    for sampler in ("heun", "ancestral"):
        made = live("complete", x, masks, np.arange(200), sampler=sampler, steps=200)
        np.testing.assert_array_equal(made[:, :2], x[:, :2])
        # Of N(0.5, 0.25^2), clipped.
        assert made[:, 2:].mean() == pytest.approx(0.5, abs=0.02) and made[:, 2:].std() == pytest.approx(0.24, rel=0.05)


@pytest.mark.rotating
def test_an_edit_keeps_what_its_strength_leaves():
    live, x = Live(gaussian()), blank()
    np.testing.assert_allclose(live("edit", x, np.arange(3), strength=0.0), x, atol=0.01)
    np.testing.assert_allclose(live("edit", x, np.arange(3), strength=1.0), live("sample", np.arange(3)), atol=0.01)
    ways = [np.abs(live("edit", x, np.arange(3), strength=s) - x).mean() for s in (0.2, 0.4, 0.6)]
    assert ways == sorted(ways)


def test_guidance_is_linear_and_weight_0_is_unconditional():
    clean, free = np.array([2.0]), np.array([1.0])
    assert [float(guided(clean, free, w)[0]) for w in (0, 1, 3)] == [1, 2, 4]
    model = Diffusion(network(1, 3, 0.1), KarrasLevels(), Preconditioned(), num_classes=3, ema=0.0)
    x, sigma = tf.constant(blank()), tf.constant([0.5, 2.0, 9.0])
    none = model.denoise(x, sigma, tf.fill((3,), 3))
    np.testing.assert_allclose(model.denoise(x, sigma, tf.constant([0, 1, 2]), 0.0), none, rtol=1e-5)
    alone = model.read(x, tf.reshape(sigma, (-1, 1, 1, 1)),
                       model.outputs(x, tf.reshape(sigma, (-1, 1, 1, 1)), tf.constant([0, 1, 2]))).clean
    np.testing.assert_allclose(model.denoise(x, sigma, tf.constant([0, 1, 2]), 1.0), alone, rtol=1e-5)
    live = Live(model)
    free = live("sample", np.arange(3), label=0, guidance=0.0)
    np.testing.assert_array_equal(free, live("sample", np.arange(3), label=2, guidance=0.0))
    assert np.abs(free - live("sample", np.arange(3), label=2, guidance=2.0)).max() > 1e-3


def test_labels_are_left_out_as_often_as_asked():
    model, seen = Diffusion(network(1, 3), KarrasLevels(), Preconditioned(), num_classes=3, omission=0.25), []
    model.outputs = lambda x, sigma, label, training: seen.append(label.numpy()) or x
    model.compute_losses((images(4000)[:, :4, :4], tf.ones(4000, tf.int64)), True)
    assert np.mean(seen[0] == 3) == pytest.approx(0.25, abs=0.03) and set(seen[0]) == {1, 3}
    model.compute_losses((images(40)[:, :4, :4], tf.ones(40, tf.int64)), False)
    assert set(seen[1]) == {1}


def test_a_classifier_adds_its_gradient():
    x, level = keras.Input(SHAPE), keras.Input(())
    logits = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=1))(keras.layers.Flatten()(x))
    classifier = keras.Model([x, level], logits)
    model = GuidedDiffusion(network(), KarrasLevels(), Preconditioned(DEVIATION), classifier)
    images, sigma, label = blank(2), np.array([0.3, 2.0], "float32"), tf.constant([0, 2])
    found = model.denoise(tf.constant(images), sigma, label, 1.7).numpy()
    free = model.denoise(tf.constant(images), sigma).numpy()
    np.testing.assert_allclose(model.denoise(tf.constant(images), sigma, label, 0.0), free, rtol=1e-6)
    kernel = classifier.layers[-1].kernel.numpy().astype(float)
    for row in range(2):
        scale = 1 / math.sqrt(sigma[row]**2 + DEVIATION**2)
        p = scipy.special.softmax(scale * images[row].ravel() @ kernel)
        gradient = scale * (kernel[:, int(label[row])] - kernel @ p)
        np.testing.assert_allclose((found - free)[row].ravel(), 1.7 * sigma[row]**2 * gradient, rtol=1e-3, atol=1e-5)


def test_the_average_follows_its_decay_and_makes_the_samples():
    model = Diffusion(network(weight=0.1), KarrasLevels(), Clean(), ema=0.9)
    model.compile(keras.optimizers.Adam(0.1))
    first = [w.numpy() for w in model.ema_network.trainable_weights + model.ema_network.non_trainable_weights]
    model.fit(tf.data.Dataset.from_tensors(blank() + 0.5), verbose=0)
    assert any(np.abs(old - now).max() > 0.01 for old, now in zip(first, model.network.get_weights(), strict=True))
    for old, now, average in zip(first, model.network.weights, model.ema_network.weights, strict=True):
        np.testing.assert_allclose(average, old + 9 / 11 * (now - old), atol=1e-6)
    assert model.weights_sampled == "running average with decay 0.9"
    assert Diffusion(network(), KarrasLevels(), Clean(), ema=0.0).weights_sampled == "those of the last step"


def test_a_conditional_model_without_a_label_is_that_of_no_label():
    model = DiscreteDiffusion(network(1, 3, 0.1), LinearBetas(30), Epsilon(), num_classes=3, ema=0.0, clip=True)
    x, sigma, none = tf.constant(blank()), tf.constant([0.5, 2.0, 9.0]), tf.fill((3,), 3)
    np.testing.assert_array_equal(model.denoise(x, sigma), model.denoise(x, sigma, none))
    np.testing.assert_array_equal(model.log_prob(x, 7), model.log_prob(x, 7, none))
    # Held to the range of images after guidance, not before.
    two = model.read(x, tf.reshape(sigma, (-1, 1, 1, 1)), model.outputs(x, tf.reshape(sigma, (-1, 1, 1, 1)), none - 1)).clean
    free = model.read(x, tf.reshape(sigma, (-1, 1, 1, 1)), model.outputs(x, tf.reshape(sigma, (-1, 1, 1, 1)), none)).clean
    wanted = np.clip(guided(two, free, 2.0), -1, 1)
    np.testing.assert_allclose(model.denoise(x, sigma, none - 1, 2.0), wanted, atol=1e-5)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="must take 3 inputs, it takes 2"):
        Diffusion(network(), KarrasLevels(), Clean(), num_classes=3)
    with pytest.raises(UserError, match=r"must make \(4, 4, 2\) of images \(4, 4, 1\), it makes \(4, 4, 1\)"):
        DiscreteDiffusion(network(), LinearBetas(), Clean(), mix=None)
    with pytest.raises(UserError, match="levels of a chain, such as LinearBetas.*received KarrasLevels"):
        DiscreteDiffusion(network(), KarrasLevels(), Clean())
    with pytest.raises(UserError, match="sampler expects one of dpm, ddim, heun, ancestral, received 'euler'"):
        Diffusion(network(), KarrasLevels(), Clean(), sampler="euler")
    model = tiny("conditional_diffusion")
    with pytest.raises(UserError, match="batches .images, labels., received images alone"):
        model.compute_losses(tf.constant(images()), True)
    unlabelled = SPEC.__class__("plain", (8, 8, 1), None, {"train": 8})
    for name in ("conditional_diffusion", "guided_diffusion"):
        with pytest.raises(UserError, match="expects labelled data"):
            recipes.find(name).model(unlabelled)

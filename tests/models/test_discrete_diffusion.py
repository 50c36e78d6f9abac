"""The bound of diffusion models of a chain, term by term and in closed form, and learned variances."""

import functools
import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import images, level_network

from tfgen import noise, recipes
from tfgen.data import DataSpec
from tfgen.models.diffusion import DiscreteDiffusion, Epsilon, Preconditioned
from tfgen.models.diffusion.discrete import log_mass_of_level
from tfgen.samplers.denoising import Estimate
from tfgen.samplers.noise_levels import CosineBetas, LinearBetas
from tfgen.verbs.live import Live

SHAPE = (4, 4, 1)
network = functools.partial(level_network, SHAPE)


def reference_term(model, x, noised, index, clean):
    """L_{t-1} of one image in float64."""
    levels = model.levels.levels
    now, after = levels[index], levels[index - 1] if index else 0.0
    kept = 1 / (1 + levels**2)
    mean, ours = (c + (after / now)**2 * (noised - c) for c in (x, clean))
    if index == 0:
        deviation = math.sqrt(model.levels.betas[1] * (1 - kept[0]) / (1 - kept[1]))
        edges = [scipy.stats.norm.cdf(x + half, ours, deviation) for half in (-1 / 255, 1 / 255)]
        low, high = np.where(x < -0.999, 0, edges[0]), np.where(x > 0.999, 1, edges[1])
        return -np.log(np.maximum(high - low, 1e-12)).sum()
    least = after**2 * (now**2 - after**2) / now**2
    wide = model.levels.betas[index] / kept[index - 1]
    variance = least ** (1 - model.mix) * wide**model.mix
    return 0.5 * (np.log(variance / least) + (least + (mean - ours)**2) / variance - 1).sum()


@pytest.mark.rotating
@pytest.mark.parametrize("mix", [0.0, 1.0, 0.3])
def test_the_bound_term_by_term(mix):
    model = DiscreteDiffusion(network(weight=0.2), LinearBetas(30), Epsilon(), mix=mix, ema=0.0)
    x = np.round(np.random.default_rng(0).uniform(size=(3, *SHAPE)) * 255).astype("float32") / 255
    x[0, 0, 0] = 0.0
    x[1, 1, 1] = 1.0
    seeds, inside = noise.seeds_of(x), 2.0 * x.astype(float) - 1
    total = -np.array([0.5 * (np.log((1 + s**2) / s**2) + (s**2 + image**2) / (1 + s**2) - 1).sum()
                       for image in inside for s in model.levels.levels[-1:]])
    for index in range(30):
        drawn = noise.normal(seeds, SHAPE, noise.DIFFUSION + 256 * (index + 1)).numpy().astype(float)
        sigma = model.levels.levels[index]
        noised = inside + sigma * drawn
        clean = model.denoise(tf.constant(noised, tf.float32), sigma).numpy()
        total -= [reference_term(model, *row, index, c) for *row, c in zip(inside, noised, clean)]
    found = Live(model)("log_prob", x, terms=30)
    np.testing.assert_allclose(found, total, rtol=2e-3)


def test_levels_of_the_data_reach_the_bound():
    spec = DataSpec("digits", (8, 8, 1), levels=16)
    assert recipes.find("ddpm").model(spec, filters=4, residual_blocks=1).grey_levels == 16


@pytest.mark.parametrize("grey_levels", [2, 16, 256])
def test_masses_of_grey_levels_sum_to_1(grey_levels):
    x = tf.linspace(-1.0, 1.0, grey_levels)[:, None]
    means, log_vars = tf.constant([-1.2, 0.1, 0.77]), tf.constant([-3.0, -1.0, 2.0])
    masses = tf.reduce_sum(tf.exp(log_mass_of_level(x, means, log_vars, grey_levels)), 0)
    np.testing.assert_allclose(masses, 1.0, rtol=1e-5)


def test_the_first_level_of_a_chain_tells_16_grey_levels_apart():
    """A denoiser that knows the image pays next to nothing for levels that are 18 deviations apart, 1.3 bits for 256."""
    x = tf.constant(np.random.default_rng(0).integers(0, 16, (5, *SHAPE)) * 2.0 / 15.0 - 1.0, tf.float32)
    for grey_levels, bits in ((16, 0.0), (256, 1.305)):
        model = DiscreteDiffusion(network(), LinearBetas(1000), Epsilon(), grey_levels=grey_levels)
        term = model.term(x, x, tf.zeros(5, tf.int32), Estimate(x, 1.0)) / (16 * math.log(2.0))
        inside = np.abs(x.numpy()).max((1, 2, 3)) < 2
        np.testing.assert_allclose(term[inside], bits, atol=0.3 if bits else 1e-3)


def test_few_terms_estimate_all_of_them():
    model = DiscreteDiffusion(network(weight=0.2), LinearBetas(30), Epsilon(), mix=1.0, ema=0.0)
    x = np.round(np.random.default_rng(0).uniform(size=(600, *SHAPE)) * 255).astype("float32") / 255
    few, all_terms = (Live(model)("log_prob", x, terms=terms) for terms in (7, 30))
    error = np.std(few - all_terms) / math.sqrt(600)
    assert abs(np.mean(few - all_terms)) < 4 * error and error < 0.02 * abs(all_terms.mean())


def test_the_bound_of_gaussian_values_in_closed_form():
    """Of values N(0.5, 0.1^2), whose denoiser is known, E (x_0 - D)^2 = s^2 sigma^2 / (s^2 + sigma^2), s = 0.2."""
    levels, s, width = LinearBetas(400), 0.2, 2 / 255
    x = np.clip(np.round(np.random.default_rng(0).normal(0.5, 0.1, (300, *SHAPE)) * 255), 0, 255).astype("float32") / 255
    model = DiscreteDiffusion(network(), levels, Preconditioned(s), mix=0.0, ema=0.0)
    variance, kept = levels.levels**2, 1 / (1 + levels.levels**2)
    error = s**2 * variance / (s**2 + variance)
    last = 0.5 * (np.log(1 + 1 / variance[-1]) + (variance[-1] + s**2) / (1 + variance[-1]) - 1)
    inner = np.sum((variance[1:] - variance[:-1]) * error[1:] / (2 * variance[1:] * variance[:-1]))
    floor = levels.betas[1] * (1 - kept[0]) / (1 - kept[1])
    first = -math.log(width) + 0.5 * math.log(2 * math.pi * floor) + error[0] / (2 * floor)
    # The mass of a level beside its width times the density in the middle.
    first -= width**2 / (24 * floor) * (error[0] / floor - 1)
    found = Live(model)("log_prob", x, terms=400)
    assert found.mean() / 16 == pytest.approx(-(last + inner + first), rel=0.01)
    edges = (np.round(x * 255)[..., None] + [-0.5, 0.5]) / 255
    assert found.mean() < np.log(np.diff(scipy.stats.norm.cdf(edges, 0.5, 0.1))[..., 0]).sum((1, 2, 3)).mean()


def test_a_learned_variance_is_trained_by_the_bound_alone():
    model = DiscreteDiffusion(level_network((8, 8, 1), 2), LinearBetas(21), Epsilon(), mix=None, ema=0.0)
    model.compile(keras.optimizers.Adam(0.01))
    assert model.loss_names == ("bound",)
    x = tf.constant(images())
    with tf.GradientTape() as tape:
        losses = model.compute_losses(x, True)
    gradient = tape.gradient(losses["bound"], model.network.layers[-1].kernel)
    # Equation 16 of Nichol & Dhariwal (2021): of what an untrained network has, the mean square of noise is 1.
    assert float(losses["loss"] - 0.001 * losses["bound"]) == pytest.approx(1, abs=0.1)
    assert np.all(gradient[..., 0] == 0) and np.abs(gradient[..., 1]).max() > 0
    before = float(model.evaluate(tf.data.Dataset.from_tensors(images()), verbose=0, return_dict=True)["bound"])
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(150), verbose=0)
    assert float(model.evaluate(tf.data.Dataset.from_tensors(images()), verbose=0, return_dict=True)["bound"]) < before


@pytest.mark.parametrize("levels", [LinearBetas(30), CosineBetas(4000)])
def test_levels_of_a_chain_find_themselves(levels):
    found = levels.index_of(tf.constant(levels.levels, tf.float32))
    np.testing.assert_array_equal(found, np.arange(levels.count))


def test_all_terms_of_a_chain_sum_what_the_loss_estimates():
    model = DiscreteDiffusion(network(2, weight=0.1), LinearBetas(30), Epsilon(), mix=None, ema=0.0)
    x = tf.constant(2.0 * images(3000)[:, :4, :4] - 1.0)
    sigma, drawn = model.noisy(x, True)
    noised = x + sigma * drawn
    found = float(model.losses_at(x, noised, sigma, model.outputs(noised, sigma))["bound"]) * 16 * math.log(2)
    terms = Live(model)("log_prob", images(3000)[:, :4, :4], terms=30)
    assert found == pytest.approx(-terms.mean() - float(tf.reduce_mean(model.last_term(x))), rel=0.05)

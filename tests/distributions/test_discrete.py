"""Discrete likelihoods against float64 references, and draws against their probabilities."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfgen.distributions import Bernoulli, Categorical, DiscretisedLogistic, MixtureOfLogistics
from tfgen.distributions.likelihoods import log_mass
from tfgen.errors import UserError


def reference_mixture(parameters, x, components, levels):
    """log p(x) of one pixel by sums over levels in float64; parameters (P,), x (C,) in [0, 1]."""
    channels, k = len(x), components
    parts = parameters.astype(np.float64).reshape(-1, k)
    weights, means, scales = parts[0], parts[1:1 + channels], np.exp(np.maximum(parts[1 + channels:1 + 2 * channels], -7.0))
    coefficients = np.tanh(parts[1 + 2 * channels:])
    level, half, x = np.rint(x * (levels - 1)), 1.0 / (levels - 1), 2.0 * np.rint(x * (levels - 1)) / (levels - 1) - 1.0
    total, pair = scipy.special.log_softmax(weights), 0
    for c in range(channels):
        mean = means[c].copy()
        for j in range(c):
            mean += coefficients[pair] * x[j]
            pair += 1
        upper = np.ones(k) if level[c] == levels - 1 else scipy.special.expit((x[c] + half - mean) / scales[c])
        lower = np.zeros(k) if level[c] == 0 else scipy.special.expit((x[c] - half - mean) / scales[c])
        with np.errstate(divide="ignore"):  # a component far from the value
            total = total + np.log(upper - lower)
    return scipy.special.logsumexp(total)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("levels", [2, 16, 256])
def test_mixture_of_logistics_against_float64_with_its_end_bins(channels, levels):
    likelihood, rng = MixtureOfLogistics(4, levels), np.random.default_rng(levels)
    size = likelihood.parameters(channels)
    assert size == 4 * {1: 3, 2: 6, 3: 10}[channels]
    parameters = rng.normal(size=(40, 1, 1, size)).astype("float32")
    x = rng.integers(0, levels, (40, 1, 1, channels))
    x[:10], x[10:20] = 0, levels - 1
    x = (x / (levels - 1)).astype("float32")
    wanted = [reference_mixture(p[0, 0], y[0, 0], 4, levels) for p, y in zip(parameters, x)]
    np.testing.assert_allclose(likelihood.log_prob(parameters, x), wanted, rtol=2e-4, atol=2e-4)


def every_pixel(levels, channels):
    """All values of a pixel: (levels^channels, 1, 1, channels)."""
    grid = np.stack(np.meshgrid(*[np.arange(levels)] * channels, indexing="ij"), -1)
    return (grid.reshape(-1, 1, 1, channels) / (levels - 1)).astype("float32")


@pytest.mark.parametrize(("likelihood", "levels"), [
    (Bernoulli(), 2), (Categorical(5), 5), (DiscretisedLogistic(2), 4), (MixtureOfLogistics(3, 5), 5)])
@pytest.mark.parametrize("channels", [1, 2])
def test_draws_have_the_probabilities(likelihood, levels, channels):
    """Frequencies of 40,000 draws of a pixel against exp(log_prob), which sums to 1; at temperature 0 one value."""
    rng, count = np.random.default_rng(0), 40_000
    parameters = rng.normal(size=(1, 1, 1, likelihood.parameters(channels))).astype("float32")
    values = every_pixel(levels, channels)
    wanted = np.exp(likelihood.log_prob(np.repeat(parameters, len(values), 0), values))
    assert wanted.sum() == pytest.approx(1.0, abs=1e-4)
    uniforms = rng.uniform(1e-6, 1 - 1e-6, (count, 1, 1, likelihood.uniforms(channels))).astype("float32")
    many = tf.constant(np.repeat(parameters, count, 0))
    drawn = {t: np.asarray(likelihood.draw(many, uniforms, np.full(count, t, "float32"))) for t in (1.0, 0.0)}
    code = np.rint(drawn[1.0].reshape(count, channels) * (levels - 1)) @ levels ** np.arange(channels)[::-1]
    found = np.bincount(code.astype(int), minlength=len(values)) / count
    assert np.abs(found - wanted).max() < 4 * np.sqrt(0.25 / count)
    if likelihood.joint:  # the components' modes differ
        return
    assert len(np.unique(drawn[0.0], axis=0)) == 1
    if not isinstance(likelihood, DiscretisedLogistic):
        np.testing.assert_allclose(drawn[0.0][0], values[wanted.argmax()], atol=1e-6)


def test_categorical_by_hand():
    """Two channels, logits of level k of colour c at channel 2 k + c."""
    logits = np.array([[1.0, 0.0], [3.0, -1.0], [0.5, 2.0]], "float32")  # (levels, colours)
    x = np.array([0.5, 1.0], "float32").reshape(1, 1, 1, 2)
    wanted = scipy.special.log_softmax(logits, 0)[[1, 2], [0, 1]].sum()
    likelihood = Categorical(3)
    assert float(likelihood.log_prob(logits.reshape(1, 1, 1, 6), x)[0]) == pytest.approx(wanted, rel=1e-5)
    mean = (scipy.special.softmax(logits, 0) * np.array([0, 0.5, 1.0])[:, None]).sum(0)
    np.testing.assert_allclose(np.ravel(likelihood.mean(logits.reshape(1, 1, 1, 6))), mean, rtol=1e-5)


def test_extreme_parameters_stay_finite():
    for likelihood in (Categorical(16), MixtureOfLogistics(2, 16)):
        parameters = np.full((1, 1, 1, likelihood.parameters(1)), 80.0, "float32")
        for sign in (-1, 1):
            for value in (0.0, 0.4, 1.0):
                x = np.full((1, 1, 1, 1), value, "float32")
                for t in (0.0, 1.0, 2.0):
                    uniforms = np.full((1, 1, 1, likelihood.uniforms(1)), 0.3, "float32")
                    made = likelihood.draw(tf.constant(sign * parameters), uniforms, np.array([t], "float32"))
                    assert 0 <= float(np.ravel(made)[0]) <= 1
                for scale in (1.0, 10.0):
                    with tf.GradientTape() as tape:
                        given = tf.constant(scale * sign * parameters)
                        tape.watch(given)
                        value = likelihood.log_prob(given, x)
                    assert np.isfinite(value[0]) and np.isfinite(tape.gradient(value, given)).all()


@pytest.mark.parametrize("log_scale", [-3.0, 0.0, 1.9, 2.1, 3.0, 12.0, 60.0])
def test_mass_of_a_level_against_float64(log_scale):
    """F(c + h) - F(c - h) = sinh(h) / (cosh(c) + cosh(h)) in units of the scale, also where 1 - exp(-2 h) underflows."""
    half, centred = 1 / 255, 0.2
    h, c = (value * np.exp(-log_scale) for value in (half, centred))
    found = log_mass(tf.constant(centred), half, tf.constant(log_scale), False, False)
    assert float(found) == pytest.approx(np.log(np.sinh(h) / (np.cosh(c) + np.cosh(h))), rel=1e-5)


@pytest.mark.parametrize("make", [lambda: Categorical(1), lambda: Categorical(65537), lambda: MixtureOfLogistics(0),
                                  lambda: MixtureOfLogistics(3, 300)])
def test_wrong_arguments(make):
    with pytest.raises(UserError, match="expects .* received"):
        make()


def test_the_mean_of_a_mixture_is_that_of_its_draws():
    """Two components at -0.8 and 0.8, whose coefficients make 0.8 of both in the second channel."""
    likelihood = MixtureOfLogistics(2)
    parts = [[0, 0], [-0.8, 0.8], [0, 0], [0, 0], [-5, -5], [-5, -5], [-5, -5], [-9, 9], [0, 0], [0.5, 0.5]]
    parameters = np.array(parts, "float32").reshape(1, 1, 1, -1)
    uniforms = np.random.default_rng(0).uniform(1e-6, 1 - 1e-6, (4000, 1, 1, likelihood.uniforms(3))).astype("float32")
    draws = likelihood.draw(tf.tile(parameters, (4000, 1, 1, 1)), tf.constant(uniforms), tf.ones(4000))
    mean = likelihood.mean(tf.constant(parameters))
    np.testing.assert_allclose(mean, np.mean(draws, 0, keepdims=True), atol=0.02)
    np.testing.assert_allclose(mean[0, 0, 0, :2], [0.5, 0.9], atol=0.01)

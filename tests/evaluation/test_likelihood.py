"""Likelihoods of the images of a split."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import images, tiny

from tfgen.evaluation import of_log_prob
from tfgen.verbs.live import Live


@pytest.mark.parametrize("name, keys", [("vae", {"active_units"}), ("nice", set())])
def test_active_units_are_those_of_a_posterior(name, keys):
    """Of a flow, whose latents are as many as the pixels, all are active: none are reported."""
    model = tiny(name)
    x = np.round(images(6))
    found = of_log_prob(model, Live(model), [tf.constant(x[:4]), tf.constant(x[4:])], k=2)
    assert set(found) == {"k", "log_prob", "bits_per_dim"} | keys and found["k"] == 2
    exact = float(np.mean(Live(model)("log_prob", x, k=2)))
    assert found["log_prob"] == pytest.approx(exact, rel=1e-5)
    assert found["bits_per_dim"] == pytest.approx(model.bits_offset - exact / (64 * math.log(2)), rel=1e-5)


@pytest.mark.parametrize("likelihood, levels, bits", [
    ("gaussian_learned", 256, True), ("gaussian_learned", 128, False), ("gaussian", 16, True), ("gaussian", 4, False),
    ("discretised_logistic", 2, True)])
def test_a_density_has_bits_where_levels_are_closer_than_it_is_wide(likelihood, levels, bits):
    """A density of 2 levels would have -6 bits per value. Where there are bits, a Gaussian's probabilities add up to 1."""
    model, x = tiny("vae", likelihood=likelihood), np.round(images(4))
    found = of_log_prob(model, Live(model), [tf.constant(x)], levels=levels)
    assert ("bits_per_dim" in found) == bits and "log_prob" in found
    if likelihood.startswith("gaussian"):
        sigma, grid = model.likelihood.narrowest, np.arange(-9 * levels, 10 * levels) / (levels - 1)
        total = np.sum(scipy.stats.norm(0.3 / (levels - 1), sigma).pdf(grid)) / (levels - 1)
        assert (abs(total - 1) < 1e-3) == bits
    if bits and likelihood.startswith("gaussian"):
        # Log probability of a level: that of the density at it, times the distance of two.
        exact = found["log_prob"] / 64 - math.log(levels - 1)
        assert found["bits_per_dim"] == pytest.approx(-exact / math.log(2), rel=1e-6)

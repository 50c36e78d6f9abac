"""Preconditioning, and paths of straight lines, beside diffusers; samplers by levels are in tests/samplers."""

import numpy as np
import pytest
import tensorflow as tf
from cases import level_network
from twins import MISSING

from tfgen.models.diffusion import Diffusion, Preconditioned
from tfgen.samplers import denoising
from tfgen.samplers.denoising import Estimate
from tfgen.samplers.noise_levels import KarrasLevels, StraightLevels


@pytest.fixture
def diffusers(torch):
    return pytest.importorskip("diffusers", reason=MISSING)


def test_preconditioning_and_the_loss_of_karras(torch, diffusers):
    """Inputs, levels and clean images of Karras et al. (2022), and their loss, each level weighted by 1 / out^2."""
    deviation, shape, rng = 0.6, (4, 4, 1), np.random.default_rng(0)
    ours = Diffusion(level_network(shape, weight=0.3), KarrasLevels(), Preconditioned(deviation), ema=0.0)
    theirs = diffusers.EDMEulerScheduler(sigma_data=deviation)
    x, noise = (rng.normal(size=(5, *shape)).astype("float32") for _ in range(2))
    levels = np.array([0.003, 0.1, 0.5, 3.0, 70.0], "float32")
    sigma = levels[:, None, None, None]
    noised, made = x + sigma * noise, rng.normal(size=(5, *shape)).astype("float32")
    seen, level = ours.network_inputs(tf.constant(noised), tf.constant(sigma))
    each = torch.tensor(sigma)
    np.testing.assert_allclose(seen, theirs.precondition_inputs(torch.tensor(noised), each), rtol=1e-5)
    np.testing.assert_allclose(level, theirs.precondition_noise(torch.tensor(levels)), rtol=1e-5, atol=1e-6)
    clean = theirs.precondition_outputs(torch.tensor(noised), torch.tensor(made), each)
    np.testing.assert_allclose(ours.read(noised, sigma, made).clean, clean, rtol=1e-4, atol=1e-5)
    weight = (sigma**2 + deviation**2) / (sigma * deviation) ** 2
    wanted = np.mean(weight * np.square(clean.numpy() - x))
    assert float(ours.losses_at(x, noised, sigma, made)["loss"]) == pytest.approx(wanted, rel=1e-3)


def clean_of(x, t):
    """A made-up estimate of clean images from x_t = (1 - t) x_0 + t noise."""
    return np.tanh(2.0 * x - 0.5 * t) + 0.1 * np.sin(3.0 * x)


@pytest.mark.parametrize("name, kind", [("ddim", "FlowMatchEulerDiscreteScheduler"),
                                        ("heun", "FlowMatchHeunDiscreteScheduler")])
def test_steps_on_straight_paths(torch, diffusers, name, kind):
    levels, steps = StraightLevels(1e-3), 9
    times = 0.999 - 0.998 * np.arange(steps) / steps
    theirs = getattr(diffusers, kind)()
    if name == "heun":
        theirs.sigma_max, theirs.sigma_min = times[0], times[-1]
        theirs.set_timesteps(steps)
    else:
        theirs.set_timesteps(sigmas=list(times))
    start = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")
    x = torch.tensor(start)
    for timestep in theirs.timesteps:
        t = float(timestep) / 1000.0
        x = theirs.step((x - torch.tensor(clean_of(x.numpy(), t))) / t, timestep, x).prev_sample

    def denoise(x, sigma):
        t = sigma / (1.0 + sigma)
        return Estimate(tf.numpy_function(lambda x, t: clean_of(x, t).astype("float32"), [(1.0 - t) * x, t], tf.float32))

    way = levels.way(tf.fill((3,), steps))
    # Ours are divided by 1 - t.
    found = denoising.integrate(denoise, tf.constant(start) / (1.0 - times[0]), way, steps, denoising.SAMPLERS[name],
                                straight=levels.straight)
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-4)
    assert np.ptp(found) > 0.5

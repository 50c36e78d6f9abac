"""Samplers on data whose clean images are known in closed form, and beside `diffusers`."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen.samplers import denoising
from tfgen.samplers.denoising import Estimate
from tfgen.samplers.noise_levels import CosineBetas, KarrasLevels, LinearBetas, StraightLevels

CENTRES = np.array([[1.0, 0.5], [-1.0, 0.25], [0.0, -1.0]], "float32")
SHARES = np.array([0.5, 0.3, 0.2], "float32")
WIDTH = 0.2


def of_mixture(x, sigma):
    """E[x_0 | x] of a Gaussian mixture in the plane."""
    variance = WIDTH**2 + sigma**2  # (B, 1)
    distance = tf.reduce_sum(tf.square(x[:, None] - CENTRES), -1)
    weights = tf.nn.softmax(tf.math.log(SHARES) - distance / (2 * variance))
    centre = weights @ CENTRES
    return Estimate(centre + WIDTH**2 / variance * (x - centre))


def drawn(step, steps, denoise=of_mixture, rows=4000, levels=KarrasLevels()):
    rng = np.random.default_rng(0)
    level = levels.way(tf.fill((rows,), steps))
    x = rng.normal(size=(rows, 2)).astype("float32") * level(0).numpy()[:, None]
    return denoising.integrate(denoise, tf.constant(x), level, steps, step,
                               lambda index: tf.constant(rng.normal(size=(rows, 2)), tf.float32)).numpy()


@pytest.mark.rotating
@pytest.mark.parametrize("name, steps", [("dpm", 30), ("heun", 30), ("ddim", 100), ("ancestral", 200)])
def test_samples_have_the_moments_of_a_mixture(name, steps):
    made = drawn(denoising.SAMPLERS[name], steps)
    mean = SHARES @ CENTRES
    covariance = WIDTH**2 * np.eye(2) + (CENTRES - mean).T * SHARES @ (CENTRES - mean)
    np.testing.assert_allclose(made.mean(0), mean, atol=4 * math.sqrt(covariance.max() / 4000))
    np.testing.assert_allclose(np.cov(made.T), covariance, atol=0.05)
    nearest = np.argmin(np.square(made[:, None] - CENTRES).sum(-1), 1)
    np.testing.assert_allclose(np.bincount(nearest) / 4000, SHARES, atol=0.03)


@pytest.mark.rotating
@pytest.mark.parametrize("name, order", [("ddim", 1), ("heun", 2), ("dpm", 2)])
def test_the_error_falls_at_the_order_of_the_solver(name, order):
    """Of a Gaussian, the solution is x(0) = x(sigma) s / sqrt(s^2 + sigma^2)."""
    levels = KarrasLevels(1e-4, 20.0, 7.0)

    def error(steps):
        level = levels.way(tf.constant([steps]))
        made = denoising.integrate(lambda x, sigma: Estimate(x * WIDTH**2 / (WIDTH**2 + sigma**2)), tf.constant([[20.0]]),
                                   level, steps, denoising.SAMPLERS[name])
        return abs(float(made[0, 0]) - 20 * WIDTH / math.sqrt(WIDTH**2 + 400))

    orders = [math.log2(error(steps) / error(2 * steps - 1)) for steps in (17, 33)]
    assert all(order - 0.25 < found < order + 0.6 for found in orders), orders


@pytest.mark.rotating
@pytest.mark.parametrize("levels", [StraightLevels(), CosineBetas(1000), LinearBetas(1000), KarrasLevels()],
                         ids=lambda levels: type(levels).__name__)
@pytest.mark.parametrize("width", [10.0, 1.0, 0.3])
def test_heun_of_every_kind_of_levels(levels, width):
    """To images and back within 10 %, 20 steps, also where a level is a thousand times the next and images reach far."""
    def denoise(x, sigma):
        return Estimate(x * width**2 / (width**2 + sigma**2))

    steps, way = 20, levels.way(tf.constant([20]))
    rise = float(levels.sigma(tf.constant([1.0]))[0]), float(way(0)[0])
    made = denoising.integrate(denoise, tf.fill((1, 1), rise[1]), way, steps, denoising.SAMPLERS["heun"],
                               straight=levels.straight)
    assert float(made[0, 0]) == pytest.approx(width * rise[1] / math.hypot(width, rise[1]), rel=0.1)

    def upwards(index):
        return levels.sigma(1.0 - tf.minimum(tf.cast([index], tf.float32) / steps, 1.0))

    back = denoising.integrate(denoise, tf.fill((1, 1), width), upwards, steps, denoising.SAMPLERS["heun"],
                               straight=levels.straight)
    assert float(back[0, 0]) == pytest.approx(width * math.hypot(width, rise[1]) / math.hypot(width, rise[0]), rel=0.1)


@pytest.mark.parametrize("levels", [LinearBetas(1000), CosineBetas(1000)], ids=lambda levels: type(levels).__name__)
def test_few_steps_of_dpm_on_a_chain(levels):
    """The step to the least level is several times as wide as the one before, too far to extrapolate to. By hand, of
    N(0, 1): x(0) = x(sigma) / sqrt(1 + sigma^2); with that extrapolation the error was over Euler's."""
    def error(name):
        way = levels.way(tf.constant([8]))
        made = denoising.integrate(lambda x, sigma: Estimate(x / (1.0 + sigma**2)), tf.fill((1, 1), way(0)[0]), way, 8,
                                   denoising.SAMPLERS[name])
        first = float(way(0)[0])
        return abs(float(made[0, 0]) / first * math.hypot(1.0, first) - 1.0)

    assert error("dpm") < 0.6 * error("ddim")


@pytest.mark.parametrize("name", ["heun", "ddim"])
def test_a_step_made_again_starts_with_noise(name):
    """The last one, too, which ends at 0: at each visit the images are as noisy as the network is told."""
    levels, rng, seen = StraightLevels(), np.random.default_rng(0), []

    def noise(_=0):
        return tf.constant(rng.normal(size=(5000, 1)), tf.float32)

    def denoise(x, sigma):
        seen.append((float(sigma[0, 0]), float(tf.math.reduce_std(x))))
        return Estimate(tf.zeros_like(x))

    way = levels.way(tf.fill((5000,), 2))
    denoising.integrate(denoise, noise() * way(0)[:, None], way, 2, denoising.SAMPLERS[name], noise, visits=3)
    # Corrections at 0 are told any level.
    visits = [(level, deviation) for level, deviation in seen if deviation > 0]
    assert len(visits) == (6 * 2 - 3 if name == "heun" else 6)
    for level, deviation in visits:
        assert deviation == pytest.approx(level, rel=0.05)


def test_ancestral_variances_are_those_of_the_chain():
    """In the shrinking convention, beta_t (1 - a_{t-1}) / (1 - a_t) and beta_t."""
    levels = LinearBetas(50)
    kept, beta = np.cumprod(1 - levels.betas), levels.betas
    now, after = (tf.constant(x, tf.float32) for x in (levels.levels[1:], levels.levels[:-1]))
    for mix, wanted in ((0.0, beta[1:] * (1 - kept[:-1]) / (1 - kept[1:])), (1.0, beta[1:])):
        found = np.exp(denoising.ancestral_log_variance(now, after, mix).numpy()) * kept[:-1]
        np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_rows_take_samplers_and_steps_of_their_own():
    choice, steps = tf.constant([0, 1, 2, 3, 2]), tf.constant([5, 7, 6, 4, 2])
    levels, rng = KarrasLevels(), np.random.default_rng(1)
    start, noises = rng.normal(size=(5, 2)).astype("float32") * 80, rng.normal(size=(24, 5, 2)).astype("float32")

    def run(rows, step, count):
        return denoising.integrate(of_mixture, tf.constant(start[rows]), levels.way(tf.gather(steps, rows)), count, step,
                                   lambda index: tf.gather(tf.gather(tf.constant(noises), index), rows)).numpy()

    together = tf.function(lambda: run_graph(start, steps, choice, noises, levels))().numpy()
    for row, (number, count) in enumerate(zip(choice.numpy(), steps.numpy())):
        alone = run([row], list(denoising.SAMPLERS.values())[number], int(count))
        np.testing.assert_allclose(together[row], alone[0], rtol=1e-4, atol=1e-5)


def run_graph(start, steps, choice, noises, levels):
    return denoising.integrate(of_mixture, tf.constant(start), levels.way(steps), steps,
                               denoising.chosen(choice), lambda index: tf.gather(tf.constant(noises), index))


@pytest.mark.parametrize("name", ["ddim", "dpm", "heun"])
def test_same_numbers_as_diffusers(name):
    """The same network output, a function of the noisy image and its level, in both."""
    diffusers = pytest.importorskip("diffusers")
    torch = pytest.importorskip("torch")
    levels, steps = KarrasLevels(), 12
    if name == "heun":
        # Its Karras levels go from the chain's last to its first: ours are put between the same ends.
        theirs = diffusers.HeunDiscreteScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear",
                                                 prediction_type="epsilon", use_karras_sigmas=True)
        theirs.set_timesteps(steps)
        sigma = theirs.sigmas.numpy().astype(float)
        levels = KarrasLevels(float(sigma[sigma > 0].min()), float(sigma.max()))
    else:
        kind = {"ddim": diffusers.EDMEulerScheduler, "dpm": diffusers.EDMDPMSolverMultistepScheduler}[name]
        options = {} if name == "ddim" else {"final_sigmas_type": "zero", "euler_at_final": True}
        theirs = kind(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, rho=7.0, **options)
        theirs.set_timesteps(steps)
    start = np.random.default_rng(0).normal(size=(3, 2)).astype("float32") * levels.largest
    x = torch.tensor(start)
    for timestep in theirs.timesteps:
        now = float(theirs.sigmas[theirs.step_index if theirs.step_index is not None else 0])
        theirs.scale_model_input(x, timestep)
        clean = of_mixture(tf.constant(x.numpy()), tf.fill((3, 1), now)).clean.numpy()
        if name == "heun":
            output = torch.tensor((x.numpy() - clean) / now)
        else:
            # The output F for which skip x + out F is the clean image.
            skip, out = 0.25 / (now**2 + 0.25), now * 0.5 / math.sqrt(now**2 + 0.25)
            output = torch.tensor((clean - skip * x.numpy()) / out)
        x = theirs.step(output, timestep, x).prev_sample
    ours = denoising.integrate(of_mixture, tf.constant(start), levels.way(tf.fill((3,), steps)), steps,
                               denoising.SAMPLERS[name])
    np.testing.assert_allclose(ours, x.numpy(), rtol=1e-3, atol=1e-4)

"""Diffusion models of a chain beside the code of Nichol & Dhariwal (2021) and Dhariwal & Nichol (2021).

Theirs shrinks images, sqrt(a) x_0 + sqrt(1 - a) noise; ours, divided by sqrt(1 + sigma^2), are the same.
"""

import itertools
import json

import keras
import numpy as np
import of_guided_diffusion as authors
import pytest
import tensorflow as tf
from keras import ops

from tfgen.models.diffusion import Clean, DiscreteDiffusion, Epsilon, GuidedDiffusion
from tfgen.samplers import denoising
from tfgen.samplers.noise_levels import CosineBetas, LinearBetas

KNOWN = json.loads(authors.KNOWN.read_text())
ROWS, COUNT, SHAPE = authors.ROWS, authors.COUNT, authors.SHAPE
SCHEDULES, PREDICTIONS = {"linear": LinearBetas, "cosine": CosineBetas}, {"EPSILON": Epsilon, "START_X": Clean}
MIXES = {"FIXED_SMALL": 0.0, "FIXED_LARGE": 1.0, "LEARNED_RANGE": None}
each = pytest.mark.parametrize("schedule, prediction, variance",
                               list(itertools.product(SCHEDULES, PREDICTIONS, MIXES)))


def network(mixed=False):
    """[shrunk images, levels] -> the made-up outputs."""
    image, level = keras.Input(SHAPE), keras.Input(())
    wide = keras.layers.Reshape((1, 1, 1))(level)
    made = authors.prediction(image, wide, ops.tanh)
    if mixed:
        made = ops.concatenate([made, authors.mix(image, wide, ops.tanh)], axis=-1)
    return keras.Model([image, level], made)


def model(schedule, prediction, variance, clip=False):
    return DiscreteDiffusion(network(variance == "LEARNED_RANGE"), SCHEDULES[schedule](COUNT), PREDICTIONS[prediction](),
                             MIXES[variance], ema=0.0, clip=clip)


def levels_of(model, index):
    return model.levels.at(tf.constant(index))[:, None, None, None]


def arrays(values):
    return np.reshape(values, (ROWS, *SHAPE[:2], -1))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_variances_of_the_chain(schedule):
    np.testing.assert_allclose(SCHEDULES[schedule](COUNT).betas, KNOWN["betas"][schedule], rtol=1e-12)


@each
def test_the_bound_term_by_term(schedule, prediction, variance):
    """Of every step, in nats per image. Their mass of a grey level, in the first, is of an approximate error function."""
    ours, x = model(schedule, prediction, variance, clip=True), authors.images(authors.TERMS)
    index = np.repeat(np.arange(COUNT), ROWS)
    sigma, repeated = levels_of(ours, index), np.tile(x, (COUNT, 1, 1, 1))
    noised = repeated + sigma * authors.noises(authors.TERMS, COUNT).reshape(repeated.shape)
    found = ours.term(tf.constant(repeated), noised, tf.constant(index), ours.estimate(noised, sigma))
    wanted = np.ravel(KNOWN["terms"][f"{schedule} {prediction} {variance}"])
    np.testing.assert_allclose(found[ROWS:], wanted[ROWS:], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:ROWS], wanted[:ROWS], rtol=0.03)
    np.testing.assert_allclose(ours.last_term(tf.constant(x)), KNOWN["prior"][schedule], atol=1e-5)


@each
def test_the_loss_and_its_gradient(schedule, prediction, variance):
    """With a learned variance of its bound, too, whose gradient does not reach the prediction."""
    ours, x = model(schedule, prediction, variance), authors.images(authors.LOSSES)
    known = KNOWN["losses"][f"{schedule} {prediction} {variance}"]
    sigma = levels_of(ours, authors.CHOSEN)
    noised = x + sigma * authors.noises(authors.LOSSES, 1)[0]
    made = ours.outputs(noised, sigma)
    with tf.GradientTape() as tape:
        tape.watch(made)
        losses = ours.losses_at(tf.constant(x), noised, sigma, made)
    assert {key: float(value) for key, value in losses.items()} == pytest.approx(
        {key: known[key] for key in losses}, rel=1e-4)
    assert set(losses) == set(known) - {"gradient"}
    np.testing.assert_allclose(tape.gradient(losses["loss"], made), arrays(known["gradient"]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", KNOWN["steps"])
def test_steps_of_a_shorter_way(steps):
    """K of T steps, evenly spaced and rounded (Nichol & Dhariwal, 2021, section 4): halves are rounded either way."""
    levels, count = LinearBetas(1000), int(steps)
    way = levels.way(tf.constant([count]))
    found = np.array([int(levels.index_of(way(index))[0]) for index in range(count)])[::-1]
    exact = 999.0 * np.arange(count) / (count - 1)
    halves = np.isclose(exact % 1.0, 0.5, atol=1e-6)
    np.testing.assert_array_equal(found[~halves], np.array(KNOWN["steps"][steps])[~halves])
    assert np.all(np.abs(found - exact) < 0.501)


@pytest.mark.rotating
@pytest.mark.parametrize("place", range(len(authors.WAYS)))
def test_samples_from_the_same_noise(place):
    """All the way from noise to images, by all steps of the chain and by fewer."""
    schedule, variance, steps, sampler = authors.WAYS[place]
    ours = model(schedule, "EPSILON", variance, clip=True)
    start, *noises = authors.noises(authors.SAMPLES, COUNT + 1)
    noises, way = tf.constant(np.array(noises)), ours.levels.way(tf.fill((ROWS,), steps))
    first = tf.sqrt(1.0 + way(0) ** 2)[:, None, None, None] * start
    # Numbers of noise are even; the odd ones are for steps that are made again.
    found = denoising.integrate(ours.estimate, first, way, steps, denoising.SAMPLERS[sampler],
                                lambda number: tf.gather(noises, number // 2))
    wanted = arrays(KNOWN["samples"][place])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert np.std(wanted) > 0.1


def test_guidance_by_a_classifier():
    """The clean image of a step towards a label, as their `condition_score` makes it for DDIM."""
    image, level = keras.Input(SHAPE), keras.Input(())
    classifier = keras.Model([image, level], 3.0 * ops.sum(ops.tanh(image), (1, 2)) + 0.0 * level[:, None])
    ours = GuidedDiffusion(network(), LinearBetas(COUNT), Epsilon(), classifier, ema=0.0)
    x, label = authors.images(authors.GUIDANCE), tf.constant([0, 1, 1])
    noises = authors.noises(authors.GUIDANCE, len(authors.GUIDED))
    for (step, weight), noise, wanted in zip(authors.GUIDED, noises, KNOWN["guided"], strict=True):
        sigma = levels_of(ours, [step] * ROWS)
        noised = tf.constant(x) + sigma * noise
        plain = ours.estimate(noised, sigma).clean
        found = ours.estimate(noised, sigma, label, tf.fill((ROWS, 1, 1, 1), weight)).clean
        np.testing.assert_allclose(found, arrays(wanted), rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
        assert np.abs(found - plain).max() > 0.005

"""VQGAN's losses and the weight of its critic."""

import numpy as np
import pytest
import tensorflow as tf
from cases import batch, tiny

from tfgen import errors
from tfgen.models import VQGAN


@pytest.fixture(scope="module")
def model():
    made = tiny("vqgan", critic_weight=0.8, perceptual_weight=0.5)
    made.quantised(tf.constant(batch("vqgan")), training=True)  # a codebook from data
    return made


def in_stage(model, stage, function):
    object.__setattr__(model, "_stage", stage)
    try:
        return function()
    finally:
        object.__setattr__(model, "_stage", None)


def test_adaptive_weight_is_that_of_gradients_at_the_last_kernel(model):
    x, kernel = tf.constant(batch("vqgan")), model.last_layer.kernel
    assert kernel is model.decoder.trainable_variables[-2] or kernel is model.decoder.trainable_variables[-1]
    with tf.GradientTape(persistent=True) as tape:
        made = model.generate(x, training=True)
        rated = model.rated(model.reconstruction_losses(x, made))
        judged = model.objective.generator(model.judge(made["image"], True)[0])
    of_rated, of_judged = (np.linalg.norm(tape.gradient(loss, kernel.value)) for loss in (rated, judged))
    found = in_stage(model, 2, lambda: model.generator_losses(x, made, training=True))
    assert float(found["adaptive_weight"]) == pytest.approx(0.8 * of_rated / (of_judged + 1e-4), rel=1e-3)
    slopes = [tape.gradient(loss, made["image"]) for loss in (rated, judged)]
    # Within its bounds; and a critic without a gradient does not make it infinite.
    assert float(model.adaptive_weight(slopes[0], 0 * slopes[1], made["features"])) <= 0.8e4
    assert float(model.adaptive_weight(0 * slopes[0], slopes[1], made["features"])) == 0


def test_losses_are_those_of_the_docstring(model):
    x = tf.constant(batch("vqgan"))
    made = model.generate(x, training=False)
    image, theirs = made["image"].numpy().astype(float), x.numpy().astype(float)
    losses = model.reconstruction_losses(x, made)
    absolute = 2 * np.abs(theirs - image).mean()
    assert float(losses["absolute_error"]) == pytest.approx(absolute, rel=1e-5)
    assert float(losses["squared_error"]) == pytest.approx(np.square(theirs - image).mean(), rel=1e-5)
    rated = absolute + 0.5 * float(losses["perceptual"])
    assert float(model.rated(losses)) == pytest.approx(rated, rel=1e-5)
    whole = model.generator_losses(x, made, training=False)
    assert float(whole["generator_loss"]) == pytest.approx(
        rated + float(made["quantisation"]) + float(whole["bits_per_code"]), rel=1e-5)
    # The adversarial stage adds the critic's term with its weight, and its gradient does not pass through the weight.
    with tf.GradientTape() as tape:
        made = model.generate(x, training=True)
        found = in_stage(model, 2, lambda: model.generator_losses(x, made, training=True))
    judged = float(model.objective.generator(model.judge(made["image"], True)[0]))
    wanted = float(model.autoencoder_loss(found, made)) + float(found["adaptive_weight"]) * judged
    assert float(found["generator_loss"]) == pytest.approx(wanted, rel=1e-3)
    assert tape.gradient(found["adaptive_weight"], model.decoder.trainable_variables) == [
        None] * len(model.decoder.trainable_variables)


@pytest.mark.parametrize("values, message", [
    ({"critic_start": 0}, "critic_start from 1 to autoencoder_steps=1000, received"),
    ({"perceptual_weight": -1.0}, "expected weights >= 0"), ({"perceptual_steps": 0}, "perceptual_steps >= 1")])
def test_arguments_out_of_range_are_refused(model, values, message):
    networks = [model.encoder, model.decoder, model.priors, model.critic, model.perceptual]
    with pytest.raises(errors.UserError, match=message):
        VQGAN(*networks, **values)
    with pytest.raises(errors.UserError, match=r"must give feature maps and 4 probabilities, it gives"):
        VQGAN(*networks[:-1], model.critic)

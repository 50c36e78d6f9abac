"""`--precision bfloat16` of every recipe, against float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import VALUES, dataset, tiny

from tfgen import recipes
from tfgen.models.base.generative import GenerativeModel
from tfgen.runs.regime import Regime, networks_of

STEPS = 3
# Of total_steps=40, so that these steps are of several stages; of fields a layer between the first and the last.
SHORT = {"perceptual_share": 0.025, "autoencoder_share": 0.025, "stage_steps": 1, "stage_one_steps": 1, "hidden_layers": 2}
# Largest difference of a loss from that of float32 in these steps, in units of 1 or of the loss, whichever is larger; in
# games differences grow, and between codes they jump. bfloat16 has 8 bits: a value is rounded by up to 0.004 of itself.
APART, FAR_APART = 0.02, 0.1
# Of the perplexity of the codes of a batch, of which a few lie halfway between two entries and jump: in units of itself.
COUNTS_APART = 0.25
# The norm of gradients of normalised maps of few pixels, whose variance may be rounding errors.
OTHERS = ("generator_gradient",)
# Whose weights are of last layers and bijectors, so that all is in float32 (each convolution of `padim` makes an output, a
# feature map whose covariance is taken), or whose last layer starts at 0 and changes by the sign of its gradient at first.
EQUAL = ("fvbn", "maf", "nice", "padim")


def outputs_of(network):
    """What a network makes of noise, without the steps of a graph."""
    inputs = [tf.cast(tf.random.stateless_uniform((2, *one.shape[1:]), (0, 0)), one.dtype) for one in network.inputs]
    return tf.nest.flatten(network(inputs if len(inputs) > 1 else inputs[0]))


def trained(name, precision, monkeypatch):
    """({loss: its value after each step}, types of the losses, the model) of a tiny training, step by step and not in
    graphs, whose tracing would take several times as long."""
    kinds, real = set(), GenerativeModel.update_trackers

    def watched(self, losses, data):
        kinds.update(tf.convert_to_tensor(loss).dtype.name for loss in losses.values())
        return real(self, losses, data)

    keras.utils.set_random_seed(0)
    game = "critic_learning_rate" in VALUES[name]
    regime = Regime(precision=precision)
    with regime.building():
        # A rate at which weights change; of codes one at which they stay.
        values = SHORT | ({} if game or "codebook_size" in VALUES[name] else {"learning_rate": 0.01})
        model = tiny(name, **{key: value for key, value in values.items() if key in VALUES[name]})
    regime.compiled(model, 40)
    model.run_eagerly = True
    with monkeypatch.context() as patch:
        patch.setattr(GenerativeModel, "update_trackers", watched)
        return model.fit(dataset(name, 1), epochs=STEPS, verbose=0).history, kinds, model


@pytest.mark.rotating
@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_bfloat16_trains_as_float32_does(name, monkeypatch):
    """Losses and the outputs of networks are float32, and the losses near those of float32, but not they."""
    expected, _, _ = trained(name, "float32", monkeypatch)
    found, kinds, model = trained(name, "bfloat16", monkeypatch)
    assert kinds == {"float32"} and {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert not {output.dtype.name for network in networks_of(model) for output in outputs_of(network)} - {"float32", "int32"}
    assert all(np.isfinite(values).all() for values in found.values())
    apart = {key: np.max(np.abs(np.subtract(found[key], values)) / np.maximum(1.0, np.abs(values)))
             for key, values in expected.items()}
    assert (max(apart.values()) == 0) == (name in EQUAL)
    usual = FAR_APART if {"critic_learning_rate", "codebook_size"} & set(VALUES[name]) else APART
    allowed = {key: COUNTS_APART if key.startswith("perplexity") else usual for key in apart if key not in OTHERS}
    assert {key: apart[key] for key, most in allowed.items() if apart[key] > most} == {}

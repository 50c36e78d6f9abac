"""`--precision bfloat16` of every recipe, against float32."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import VALUES, dataset, images, tiny, tiny_values

from tfgen import catalogue, data, recipes
from tfgen.layers.masked_dense import CausalDense, DenseFromImage, masked
from tfgen.models.base.generative import GenerativeModel
from tfgen.runs.regime import Regime
from tfgen.serialization import computing_in, heads, networks_of

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


@pytest.mark.parametrize("name, verb, values", [
    ("vae", "reconstruct", {"units": 8, "latent_dim": 2}), ("maf", "decode", tiny_values("maf"))])
def test_predict_has_the_precision_of_verbs(name, verb, values):
    """Keras would give the model's inputs, and weights that are read outside of layers, 8 bits."""
    rows = (1996.0 + np.arange(8.0)[:, None] + np.zeros((8, 3))).astype("float32")
    spec = data.vectors(rows, name="years").spec
    with Regime(precision="bfloat16").building():
        model = recipes.find(name).model(spec, **values)
    x = rows if name == "vae" else np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), getattr(model, verb)(x), rtol=1e-6)


@pytest.mark.rotating
@pytest.mark.parametrize("name", [row["name"] for row in catalogue.rows() if row["family"] == "anomaly"])
def test_detectors_score_while_they_train(name):
    """Not their finished copies alone, which are in float32; these have the same scores but for rounding."""
    with Regime(precision="bfloat16").building():
        model = tiny(name)
    Regime(precision="bfloat16").compiled(model, 40)
    x = images(4)
    found, wanted = model.score(x), computing_in(model, "float32").score(x)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, wanted, rtol=0.2, atol=0.05)


@pytest.mark.parametrize("name", ["vae", "pixelcnnpp", "dcgan"])
def test_exports_end_in_float32(name):
    mixed = computing_in(tiny(name), "mixed_bfloat16")
    ends = [layer for network in networks_of(mixed) for layer in heads(network)]
    assert ends and {layer.compute_dtype for layer in ends} == {"float32"}
    assert "bfloat16" in {layer.compute_dtype for network in networks_of(mixed) for layer in network.layers}


@pytest.mark.rotating
@pytest.mark.parametrize("layer", [lambda: CausalDense(), lambda: DenseFromImage([1, 300, 783])])
def test_a_samplers_sums_are_in_float32(layer):
    """As many as pixels: in half precision they would end 0.5 away."""
    x = np.random.default_rng(0).uniform(size=(4, 28, 28, 1)).astype("float32")
    with Regime(precision="bfloat16").building():
        layer = layer()
    layer.build(x.shape)
    layer.kernel.assign(np.random.default_rng(1).normal(size=layer.kernel.shape))
    state, made = layer.start(4), []
    for row, column in itertools.product(range(28), range(28)):
        here, state = layer.step(tf.cast(x[:, row:row + 1, column:column + 1], "bfloat16"), state, (row, column))
        made.append(np.reshape(here, (4, -1)).astype("float32"))
    exact = tf.cast(tf.cast(x, "bfloat16"), "float32")
    kernel = tf.cast(tf.cast(masked(layer, 0), "bfloat16"), "float32")
    wanted = tf.matmul(tf.reshape(exact, (4, -1)), kernel)
    np.testing.assert_allclose(state, wanted, atol=0.02 * np.abs(wanted).max())

"""The base classes: batches, losses of layers, mixed precision, steps per execution."""


import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import batch, dataset, images, optimizers, tiny

from tfgen import GenerativeModel, errors


def test_a_model_without_a_forward_pass_says_which_verb_to_call():
    class Sampler(GenerativeModel):
        def sample(self, seeds):
            return seeds

    with pytest.raises(errors.UserError, match="Sampler has sample: call one of them"):
        Sampler().predict(np.zeros((2, 3)), verbose=0)


def test_partial_batches_weigh_by_their_size():
    model = tiny("autoencoder")
    x = images(10)
    whole = model.evaluate(tf.data.Dataset.from_tensors(x), verbose=0, return_dict=True)
    parts = model.evaluate(tf.data.Dataset.from_tensor_slices(x).batch(7), verbose=0, return_dict=True)
    for key in whole:
        assert parts[key] == pytest.approx(whole[key], rel=1e-5)


def test_layers_own_losses_are_minimised():
    from tfgen import Autoencoder
    from tfgen.networks import mlp

    image = keras.Input((8, 8, 1))
    code = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L1(10.0))(keras.layers.Flatten()(image))
    model = Autoencoder(keras.Model(image, code), mlp.decoder(3, [], (8, 8, 1)))
    model.compile("adam")
    logs = model.evaluate(tf.data.Dataset.from_tensors(images()), verbose=0, return_dict=True)
    codes = model.encoder(images())
    assert logs["loss"] - logs["reconstruction"] == pytest.approx(
        10.0 * float(np.abs(codes).sum(1).mean()), rel=1e-4)


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["gan", "aae", "ganomaly", "pix2pix", "cyclegan", "region_anomaly", "fanogan"])
def test_layers_own_losses_of_both_players_are_minimised_and_left_out_of_validation(name):
    model, wanted = tiny(name), {}
    for player in ("critic", "generator"):
        for network in getattr(model, f"{player}_networks"):
            kernel = next(v for v in network.trainable_variables if len(v.shape) > 1)
            kernel.regularizer = keras.regularizers.L2(1e8)
            wanted[player] = wanted.get(player, 0.0) + 1e8 * float(np.square(kernel.numpy()).sum())
            if name == "fanogan":
                break  # the encoder's turn comes in the second stage
    few = keras.tree.map_structure(tf.convert_to_tensor, batch(name, 4))
    held = model.test_step(few)
    assert all(abs(float(held[f"{player}_loss"])) < 1e-2 * wanted[player] for player in wanted)
    for tracker in model.trackers:
        tracker.reset_state()
    logs = model.train_step(few)
    assert {player: float(logs[f"{player}_loss"]) for player in wanted} == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = tiny("vae")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    history = model.fit(dataset("vae", 20), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[1] < history[0]


def test_mixed_precision_trains_both_players():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = tiny("wgan_gp")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert all(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers(model))
    before = [v.numpy() for v in model.generator_variables + model.critic_variables]
    history = model.fit(dataset("wgan_gp", 20), epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    # Without the scale of 2^15, as in float32.
    assert 0 < history["generator_gradient"][-1] < 100
    assert all(np.abs(v.numpy() - old).max() > 0 for v, old in zip(model.generator_variables, before))


@pytest.mark.parametrize("recipe", ["progan", "vqvae"])
def test_models_of_stages_refuse_float16(recipe):
    """Its loss scale skips steps of each optimizer, which a stage's beginning would not count."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        # It is made, and a file of it can be opened.
        model = tiny(recipe)
        with pytest.raises(ValueError, match="trains in stages and expects float32 or mixed_bfloat16, received"):
            model.fit(dataset(recipe, 1), verbose=0)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.rotating
def test_steps_per_execution_keep_a_growing_model_in_its_stages():
    model = tiny("progan")
    model.steps_per_execution = 4
    history = model.fit(dataset("progan", 8), epochs=2, verbose=0).history["stage"]
    assert int(model.optimizer.iterations) == 16
    # stage_steps=5: steps 0 to 4 are of stage 0.
    assert history == pytest.approx([3 / 8, 1.0])


def test_compile_refuses_what_the_model_defines():
    with pytest.raises(ValueError, match="takes an optimizer"):
        tiny("vae").compile("adam", loss="mse")


def test_steps_per_execution_trains_the_same_number_of_steps():
    model = tiny("vae")
    model.compile(model.optimizer, steps_per_execution=4)
    model.fit(dataset("vae", 8), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 8

"""Diffusion models guided by their own early state."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, level_network

from tfgen import recipes
from tfgen.errors import UserError
from tfgen.models.diffusion import AutoguidedDiffusion, Diffusion, Preconditioned
from tfgen.samplers.noise_levels import KarrasLevels
from tfgen.serving import check, export, saved_model
from tfgen.serving.forms import Form
from tfgen.verbs.live import Live

SHAPE, DEVIATION = (4, 4, 1), 0.5


def made(ema=0.5, early_steps=2, clip=False):
    model = AutoguidedDiffusion(level_network(SHAPE, weight=0.1), KarrasLevels(), Preconditioned(DEVIATION), early_steps,
                                ema=ema, clip=clip, steps=4)
    model.compile(keras.optimizers.Adam(0.1))
    return model


def fitted(model, steps=5, callbacks=()):
    model.fit(tf.data.Dataset.from_tensors(np.full((8, *SHAPE), 0.75, "float32")).repeat(steps), verbose=0,
              callbacks=list(callbacks))
    return model


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_early_weights_are_those_of_the_step(ema):
    model, seen = made(ema), []
    sampled = model.ema_network if ema else model.network
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: seen.append(sampled.get_weights()))
    fitted(model, 5, [watch])
    for early, then, last in zip(model.early_network.get_weights(), seen[1], seen[-1], strict=True):
        np.testing.assert_allclose(early, then, atol=1e-6)
        assert np.abs(then - last).max() > 0.01
    assert "guided by those of step 2" in model.weights_sampled


def test_the_estimate_leads_on_from_the_early_state():
    """With F = a (scaled image + level) + b, all of it is linear: by hand in float64."""
    model = fitted(made())
    x, sigma, weight = np.full((2, *SHAPE), 0.3), np.array([0.5, 9.0]), np.array([3.0, 0.5])
    scale = 1 / np.hypot(sigma, DEVIATION)
    skip, out = (scale * DEVIATION) ** 2, scale * sigma * DEVIATION
    each = []
    for network in (model.ema_network, model.early_network):
        a, b = (float(np.ravel(part)[0]) for part in network.get_weights())
        each.append(skip * 0.3 + out * (a * (scale * 0.3 + np.log(sigma) / 4) + b))
    wanted = each[1] + weight * (each[0] - each[1])
    found = model.denoise(tf.constant(x, tf.float32), tf.constant(sigma, tf.float32), guidance=weight)
    np.testing.assert_allclose(found[:, 0, 0, 0], wanted, rtol=1e-4)
    assert np.abs(each[0] - each[1]).max() > 0.01
    # Held to the range of images after it is led on.
    clipped = made(clip=True)
    clipped.set_weights(model.get_weights())
    found = clipped.denoise(tf.constant(x, tf.float32), tf.constant(sigma, tf.float32), guidance=50.0)
    np.testing.assert_allclose(found[:, 0, 0, 0], np.clip(each[1] + 50 * (each[0] - each[1]), -1, 1), rtol=1e-4)


@pytest.mark.rotating
def test_weight_1_is_the_model_and_a_file_holds_both_states(tmp_path):
    model = fitted(made())
    plain = Diffusion(model.network, model.levels, model.parametrisation, ema=0.5, steps=4)
    plain.ema_network.set_weights(model.ema_network.get_weights())
    live, without, seeds = Live(model), Live(plain), np.arange(3)
    alone, led = live("sample", seeds, guidance=1.0), live("sample", seeds)
    np.testing.assert_allclose(alone, without("sample", seeds), atol=1e-5)
    assert np.abs(alone - led).max() > 1e-3
    np.testing.assert_allclose(live("sample", seeds, guidance=2.0), led)
    with pytest.raises(UserError, match="guidance"):
        live("sample", seeds, guidance=21.0)
    x = np.full((2, *SHAPE), 0.6, "float32")
    np.testing.assert_allclose(live("encode", x, steps=4), without("encode", x, steps=4), atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(Live(loaded)("sample", seeds), led)


def test_an_export_is_led_on_in_the_cpp_loader(tmp_path, loader):
    """Both branches: weights of 1 alone, and others."""
    live = Live(fitted(made()))
    path = export.export(live.model, tmp_path / "served", live=live, form=Form(signatures=("sample",)))
    assert max(row.difference for row in check.check(path, loader, timed=())) <= 1e-5
    served = saved_model.Served(path.parent)
    for guidance in (1.0, 3.0):
        np.testing.assert_allclose(served("sample", np.arange(3), guidance=guidance),
                                   live("sample", np.arange(3), guidance=guidance), atol=1e-5)


@pytest.mark.rotating
def test_edm_keeps_an_early_state_if_asked():
    build = recipes.find("edm").model
    tiny = {"filters": 4, "residual_blocks": 1, "grids": 1}
    model = build(SPEC, early_share=0.25, total_steps=400, guidance=1.5, **tiny)
    assert type(model) is AutoguidedDiffusion and (model.early_steps, model.guidance) == (100, 1.5)
    with pytest.raises(UserError, match="no hyperparameter 'guidance'"):
        build(SPEC, guidance=1.5, **tiny)
    with pytest.raises(UserError, match="early_steps expects at least 1 step, received 0"):
        made(early_steps=0)


def test_what_is_kept_stays(tmp_path):
    """A training that goes on with a new optimizer or a later step leaves the early state, and says which it is."""
    model = fitted(made(early_steps=2))
    early = model.early_network.get_weights()
    assert int(model.kept_step) == 2
    model.compile(keras.optimizers.Adam(0.1))
    fitted(model, 3)
    for before, after in zip(early, model.early_network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    # Stretched after the step: the state is still that of step 2.
    longer = made(early_steps=4)
    fitted(model, 3)
    longer.set_weights(model.get_weights())
    longer.optimizer.build(longer.trainable_variables)
    longer.optimizer.iterations.assign(5)
    fitted(longer, 2)
    assert "guided by those of step 2" in longer.weights_sampled
    assert "step 0" in made().weights_sampled


def test_rows_of_weight_1_are_the_model_to_the_bit():
    model = fitted(made())
    x, sigma = tf.random.stateless_normal((64, *SHAPE), (1, 2)), tf.fill([64], 0.7)
    mixed = model.denoise(x, sigma, guidance=np.where(np.arange(64) % 2, 1.0, 3.0))
    np.testing.assert_array_equal(mixed[1::2], model.denoise(x, sigma, guidance=np.ones(64))[1::2])


def test_an_early_share_of_less_than_a_step_is_a_step():
    model = recipes.find("edm").model(SPEC, filters=4, residual_blocks=1, grids=1, early_share=1e-4, total_steps=40)
    assert type(model) is AutoguidedDiffusion and model.early_steps == 1


def test_labels_are_refused():
    network = level_network(SHAPE)
    with pytest.raises(UserError, match="expects no classes"):
        AutoguidedDiffusion(keras.Model([*network.inputs, keras.Input((), dtype="int32")], network.outputs), KarrasLevels(),
                            Preconditioned(DEVIATION), 2, num_classes=3)

"""Growing: equalised layers, the fade, the schedule, one stage trained at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import batch, images, tiny

from tfgen.layers import EqualisedConv2D, EqualisedDense, PixelNorm
from tfgen.layers.doubling import double
from tfgen.models import ProGAN
from tfgen.networks import progressive
from tfgen.networks.grids import halve


def values(variables):
    return [v.numpy() for v in variables]


def changed(before, variables):
    return [bool(np.any(b != v.numpy())) for b, v in zip(before, variables)]


def test_equalised_layers_keep_unit_variance_with_standard_normal_weights():
    rng = np.random.default_rng(0)
    dense, conv = EqualisedDense(500, gain=1.0), EqualisedConv2D(300, 3, gain=1.0)
    for layer, x in ((dense, rng.normal(size=(200, 64))), (conv, rng.normal(size=(8, 8, 8, 32)))):
        y = layer(x.astype("float32"))
        assert np.std(y) == pytest.approx(1.0, abs=0.03)
        assert np.std(layer.kernel) == pytest.approx(1.0, abs=0.03)
    hidden = keras.layers.LeakyReLU(0.0)(EqualisedDense(2000)(rng.normal(size=(200, 64)).astype("float32")))
    assert np.mean(np.square(hidden)) == pytest.approx(1.0, abs=0.05)


def test_pixel_norm_gives_unit_mean_square():
    x = np.random.default_rng(0).normal(2.0, 5.0, (2, 3, 3, 7)).astype("float32")
    y = PixelNorm()(x)
    np.testing.assert_allclose(np.mean(np.square(y), -1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(y / x, np.broadcast_to((y / x)[..., :1], x.shape), rtol=1e-4)
    assert np.all(np.isfinite(PixelNorm()(np.zeros((1, 4), "float32"))))


def test_doubling_is_undone_by_halving_at_odd_sizes():
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 2)).astype("float32")
    large = double(x, (7, 6))
    assert large.shape == (2, 7, 6, 2)
    np.testing.assert_allclose(halve(large), x, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 13, 3)])
def test_alpha_0_is_the_coarser_image_and_alpha_1_the_finer(shape):
    generator, critic = progressive.generator(shape, 5, 4), progressive.critic(shape, 4)
    z = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    none, half, whole = (generator([z, np.full((4, 1), a, "float32")])[-1].numpy() for a in (0.0, 0.5, 1.0))
    coarse = generator([z, np.ones((4, 1), "float32")])[-2]
    assert none.shape == (4, *shape)
    np.testing.assert_allclose(none, double(coarse, shape[:2]), atol=1e-6)
    np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-5)
    assert np.abs(whole - none).max() > 1e-3
    grids = [one.shape[1:] for one in critic.inputs[:-1]]
    x = [np.zeros((4, *grid), "float32") for grid in grids]
    x[-1] = np.random.default_rng(1).uniform(size=(4, *shape)).astype("float32")
    x[-2] = halve(x[-1]).numpy()
    # The coarser critic without its own fade: alpha is 0 for the finer alone.
    old = critic([*x, np.ones((4, 1), "float32")])[-2].numpy()
    if len(grids) == 2:
        np.testing.assert_allclose(critic([*x, np.zeros((4, 1), "float32")])[-1], old, atol=1e-5)


def test_schedule_by_hand():
    shape = (16, 16, 1)
    model = ProGAN(progressive.generator(shape, 3, 2), progressive.critic(shape, 2), stage_steps=10)
    expected = {0: (0, 1), 9: (0, 1), 10: (1, 0), 15: (1, 0.5), 20: (1, 1), 29: (1, 1), 30: (2, 0), 37: (2, 0.7),
                40: (2, 1), 10000: (2, 1)}
    for step, (stage, alpha) in expected.items():
        assert int(model.stage_at(tf.constant(step))) == stage
        assert float(model.alpha(tf.constant(step), stage)) == pytest.approx(alpha)


def test_only_the_stage_moves_and_a_file_keeps_it(tmp_path):
    model = tiny("progan", stage_steps=1)
    model.compile(model.optimizer, model.critic_optimizer, run_eagerly=True)
    late = [[v for v in network.trainable_variables if all(v is not w for w in part.trainable_variables)]
            for network, part in ((model.generator, model.generators[0]), (model.critic, model.critics[0]))]
    assert all(late)
    started, late = values(model.generators[0].trainable_variables + model.critics[0].trainable_variables), sum(late, [])
    late_started = values(late)
    logs = model.train_on_batch(batch("progan"), return_dict=True)
    assert logs["stage"] == 0 and not any(changed(late_started, late))
    assert sum(changed(started, model.generators[0].trainable_variables + model.critics[0].trainable_variables)) >= 10
    seeds = np.arange(2)
    # Step 1 begins the fade: still the coarse image.
    image = model.sample(seeds).numpy()
    assert image.shape == (2, 8, 8, 1)
    np.testing.assert_allclose(image, double(halve(image), (8, 8)), atol=1e-6)
    for _ in range(2):
        model.train_on_batch(batch("progan"))
    assert any(changed(late_started, late))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.step) == 3 and int(loaded.stage_at(tf.convert_to_tensor(loaded.step))) == 1
    np.testing.assert_array_equal(loaded.sample(seeds), model.sample(seeds))
    with np.testing.assert_raises(AssertionError):
        np.testing.assert_allclose(model.sample(seeds), double(halve(model.sample(seeds)), (8, 8)), atol=1e-6)


def test_parts_are_not_saved_twice():
    model = tiny("progan")
    networks = [model.generator, model.critic, model.ema_generator]
    assert len(model.trainable_variables) == sum(len(n.trainable_variables) for n in networks)
    tracked = [layer for layer in model._flatten_layers(recursive=False, include_self=False)]
    assert not any(part is layer for part in model.generators + model.critics for layer in tracked)


def test_real_images_fade_with_the_stage():
    model = tiny("progan", stage_steps=2)
    x = images(3)
    for step, share in ((2, 0.0), (3, 0.5), (4, 1.0)):
        model.step.assign(step)
        seen = model.by_stage(lambda: model.images_and_labels(x)[0])
        np.testing.assert_allclose(seen, (1 - share) * double(halve(x), (8, 8)) + share * x, atol=1e-6)
    model.step.assign(0)
    np.testing.assert_allclose(model.by_stage(lambda: model.images_and_labels(x)[0]), halve(x), atol=1e-6)


def test_mismatches_are_named():
    generator, critic = progressive.generator((16, 16, 1), 3, 2), progressive.critic((8, 8, 1), 2)
    with pytest.raises(ValueError, match=r"generator makes images of .*\(16, 16, 1\).*critic takes"):
        ProGAN(generator, critic)
    with pytest.raises(ValueError, match="stage_steps expects at least 1, received 0"):
        ProGAN(generator, progressive.critic((16, 16, 1), 2), stage_steps=0)

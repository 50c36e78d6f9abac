"""Styles: adaptive normalisation, truncation, mixing, layer noise, growth."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, images, tiny, tiny_values

from tfgen import networks, noise, recipes
from tfgen.layers import SlowDense
from tfgen.layers.doubling import double
from tfgen.models import GAN, StyleGAN
from tfgen.networks import style
from tfgen.networks.grids import halve


@pytest.fixture
def model():
    return tiny("stylegan")


def test_adain_has_the_styles_mean_and_deviation():
    x, w = keras.Input((6, 5, 4)), keras.Input((3,))
    layer = keras.Model([x, w], style.adain(x, w))
    rng = np.random.default_rng(0)
    features, styles = rng.normal(3.0, 2.0, (2, 6, 5, 4)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")
    y = layer([features, styles]).numpy()
    (kernel,) = (part.kernel.numpy() / np.sqrt(3) for part in layer.layers if hasattr(part, "gain"))
    gain, bias = np.split(kernel, 2, axis=-1)
    np.testing.assert_allclose(y.mean((1, 2)), styles @ bias, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), np.abs(1 + styles @ gain), atol=1e-5)


def test_slow_dense_starts_at_unit_scale_and_moves_slowly():
    x = np.random.default_rng(0).normal(size=(500, 64)).astype("float32")
    layer = SlowDense(400, rate=0.01)
    y = layer(x).numpy()
    assert y.std() == pytest.approx(np.sqrt(2), abs=0.06)
    layer.bias.assign_add(np.ones(400))
    np.testing.assert_allclose(layer(x) - y, 0.01, atol=1e-5)
    with pytest.raises(ValueError, match="received 0"):
        SlowDense(3, rate=0)


@pytest.mark.parametrize("width, depth", [(64, 8), (512, 8), (512, 2)])
def test_random_layers_leave_styles_few_directions(width, depth):
    """The covariance's participation ratio, (sum of eigenvalues)^2 / sum of squares, is about width / (depth + 1)."""
    z = np.random.default_rng(0).normal(size=(4000, width)).astype("float32")
    w = style.mapping(width, width, depth).predict_on_batch(z)
    covariance = np.cov(w.T)
    assert np.trace(covariance) ** 2 / np.sum(covariance ** 2) == pytest.approx(width / (depth + 1), rel=0.3)


def test_mapping_ignores_the_latents_length(model):
    z = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(model.styles(z), model.styles(7.0 * z), rtol=1e-4, atol=1e-6)


def test_truncation(model):
    seeds = np.arange(4)
    model.style_mean.assign([0.5, -1.0, 2.0, 0.0])
    # Layer noise has no weight at the start.
    mean = model.sample(seeds, np.zeros(4, "float32")).numpy()
    np.testing.assert_allclose(mean, np.broadcast_to(mean[:1], mean.shape), atol=1e-6)
    z = model.prior.seeded(seeds, 3)
    np.testing.assert_allclose(model.sample(seeds, np.ones(4, "float32")), model.decode(z), atol=1e-5)
    w = model.styles(z)
    np.testing.assert_allclose(model.truncated(w, np.array([0, 1, 0.5, 2], "float32")),
                               model.style_mean + np.array([[0], [1], [0.5], [2]]) * (w - model.style_mean), rtol=1e-5)
    each = model.sample(seeds, np.array([0, 1, 0, 1], "float32")).numpy()
    np.testing.assert_allclose(each[2], mean[2], atol=1e-6)


def test_layers_have_noise_of_their_own(model):
    planes = model.seeded_planes(np.array([3, 4, 3]))
    assert [plane.shape[1:] for plane in planes] == [(4, 4, 1)] * 2 + [(8, 8, 1)] * 2
    assert np.abs(planes[0] - planes[1]).max() > 0.1 and np.abs(planes[2][0] - planes[2][1]).max() > 0.1
    np.testing.assert_array_equal(planes[2][0], planes[2][2])
    before = model.sample(np.arange(3)).numpy()
    for layer in model.ema_generator.get_layer("synthesis").layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) and not layer.use_bias:
            layer.kernel.assign(keras.ops.ones_like(layer.kernel))
    assert np.abs(model.sample(np.arange(3)) - before).max() > 1e-3


def test_crossover(model):
    first, second = np.full((3, 3), 1.0, "float32"), np.full((3, 3), 2.0, "float32")
    for crossover, styles in ((1.0, [1, 2, 2, 2]), (3.0, [1, 1, 1, 2]), (4.0, [1, 1, 1, 1])):
        mixed = model.mixed(first, second, crossover).numpy()
        np.testing.assert_array_equal(mixed, np.broadcast_to(np.array(styles)[:, None], (3, 4, 3)))


def mixed_by(model):
    """A list to which the model adds the first styles and the crossover of each batch that it mixes."""
    found, mixed = [], model.mixed
    object.__setattr__(model, "mixed", lambda first, second, crossover: (
        found.append((first.numpy(), float(crossover))), mixed(first, second, crossover))[1])
    return found


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_mixing_probability_and_mean_style(mixing):
    model = tiny("stylegan", mixing=mixing)
    seen = mixed_by(model)
    model.generate(batch("stylegan", 64), training=True)
    np.testing.assert_allclose(model.style_mean, 0.005 * seen[0][0].mean(0), rtol=1e-4)
    for _ in range(19):
        model.generate(batch("stylegan"), training=True)
    assert {crossover for _, crossover in seen} == ({4.0} if mixing == 0 else {1.0, 2.0, 3.0})


def test_validation_does_not_move_the_mean_style(model):
    # Grown: the last stage, of which `generate` is outside of branches.
    model.step.assign(100)
    made = model.generate(batch("stylegan"), training=False)
    np.testing.assert_array_equal(model.style_mean, 0)
    x = batch("stylegan")
    # Samples are clipped.
    seeds = noise.seeds_of(model.images_and_labels(x)[0])
    np.testing.assert_allclose(np.clip(made["image"][:2], 0, 1), model.sample(seeds[:2]), atol=1e-5)
    np.testing.assert_array_equal(made["image"], model.generate(x, training=False)["image"])


def test_mismatches_are_named():
    critic = networks.style.critic((16, 16, 1), 2)
    with pytest.raises(ValueError, match=r"makes images of .*\(20, 20, 1\)\], the critic takes .*\(16, 16, 1\)"):
        StyleGAN(style.generator((20, 20, 1), 3, 3, 2, 1), critic)
    with pytest.raises(ValueError, match="must have the layers mapping and synthesis"):
        StyleGAN(networks.dcgan.generator((16, 16, 1), 3, 2), critic)
    with pytest.raises(ValueError, match="mixing expects a probability"):
        StyleGAN(style.generator((16, 16, 1), 3, 3, 2, 1), critic, mixing=2.0)


@pytest.mark.parametrize("shape", [(8, 8, 1), (20, 13, 3), (30, 33, 2)])
def test_images_fade_in_over_the_coarser_ones(shape):
    generator, rng = style.generator(shape, 5, 6, 4, 2), np.random.default_rng(0)
    z, *planes, _ = (rng.normal(size=(4, *one.shape[1:])).astype("float32") for one in generator.inputs)
    none, half, whole = (generator([z, *planes, np.full((4, 1), a, "float32")])[-1].numpy() for a in (0.0, 0.5, 1.0))
    coarse = generator([z, *planes, np.ones((4, 1), "float32")])[-2]
    assert none.shape == (4, *shape)
    np.testing.assert_allclose(none, double(coarse, shape[:2]), atol=1e-6)
    np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-5)
    assert np.abs(whole - none).max() > 1e-3


def test_a_stage_is_a_part_of_the_generator():
    generator, rng = style.generator((32, 32, 1), 5, 6, 4, 2), np.random.default_rng(0)
    z, *planes, _ = (rng.normal(size=(2, *one.shape[1:])).astype("float32") for one in generator.inputs)
    alpha, known = np.full((2, 1), 0.3, "float32"), {v.path for v in generator.trainable_variables}
    counts = []
    for stage, whole in enumerate(generator([z, *planes, alpha])):
        part = style.of_stage(generator, stage)
        layers = 2 * (stage + 2)
        assert len(part.inputs) == layers + 2 and whole.shape[1] == 8 * 2**stage
        np.testing.assert_allclose(part([z, *planes[:layers], alpha]), whole, atol=1e-5)
        ours = {v.path for v in part.trainable_variables}
        assert ours <= known and {v.path for v in part.get_layer("mapping").trainable_variables} <= ours
        counts.append(len(ours))
    # toRGB of the stage before the last fades out, that of the first is no longer there.
    assert counts[0] < counts[1] < counts[2] == len(known) - 2


def test_only_layers_of_the_stage_have_noise_and_are_mixed():
    model = tiny("stylegan", mixing=1.0, stage_steps=10)
    seen = mixed_by(model)
    made = model.by_stage(lambda: model.generate(batch("stylegan", 64), training=True)["image"])
    assert made.shape == (64, 4, 4, 1) and seen[0][1] == 1.0
    assert [plane.shape[1:] for plane in model.by_stage(lambda: model.seeded_planes(np.arange(3)))] == [(4, 4, 1)] * 2
    model.step.assign(10)
    made = [model.by_stage(lambda: model.generate(batch("stylegan"), training=True)["image"]) for _ in range(20)][-1]
    assert made.shape[1:] == (8, 8, 1) and {crossover for _, crossover in seen[1:]} == {1.0, 2.0, 3.0}


def test_training_begins_with_the_four_layers_of_two_grids():
    spec = dataclasses.replace(SPEC, image_shape=(16, 16, 1))
    model = recipes.find("stylegan").model(spec, **tiny_values("stylegan") | {"mixing": 1.0, "stage_steps": 10})
    assert model.grids == [(8, 8), (16, 16)] and model.optimizer.starts == [10, 20]
    seen = mixed_by(model)
    x = np.random.default_rng(0).uniform(size=(4, 16, 16, 1)).astype("float32")
    shapes = {model.by_stage(lambda: model.generate(x, training=True)["image"]).shape for _ in range(20)}
    assert shapes == {(4, 8, 8, 1)} and {crossover for _, crossover in seen} == {1.0, 2.0, 3.0}
    assert [plane.shape[1] for plane in model.by_stage(lambda: model.seeded_planes(np.arange(3)))] == [4, 4, 8, 8]
    # At alpha 0 the critic of a stage is that of the one before, of halved images.
    x, none = tf.constant(x), tf.zeros((4, 1))
    np.testing.assert_allclose(model.critics[1]([x, none]), model.critics[0]([halve(x), none]), atol=1e-5)


def test_only_the_stage_moves():
    model = tiny("stylegan", stage_steps=1)
    model.compile(model.optimizer, model.critic_optimizer, run_eagerly=True)
    parts = ((model.generator, model.generators[0]), (model.critic, model.critics[0]))
    now = [part.trainable_variables for _, part in parts]
    late = [v for (network, _), ours in zip(parts, now) for v in network.trainable_variables
            if all(v is not w for w in ours)]
    before, late_before = [v.numpy() for v in sum(now, [])], [v.numpy() for v in late]
    assert late and model.train_on_batch(batch("stylegan"), return_dict=True)["stage"] == 0
    for old, v in zip(late_before, late):
        np.testing.assert_array_equal(old, v)
    assert sum(np.abs(old - v.numpy()).max() > 0 for old, v in zip(before, sum(now, []))) >= 10
    # Step 1 begins the fade: still the coarse image.
    image = model.sample(np.arange(2)).numpy()
    assert image.shape == (2, 8, 8, 1)
    np.testing.assert_allclose(image, double(halve(image), (8, 8)), atol=1e-6)
    for _ in range(2):
        model.train_on_batch(batch("stylegan"))
    assert any(np.abs(old - v.numpy()).max() > 0 for old, v in zip(late_before, late))


def test_the_penalty_is_of_the_gradient_at_full_size():
    model = tiny("stylegan")
    for step, x, factor in ((0, halve(images()), 0.25), (100, tf.constant(images()), 1.0)):
        model.step.assign(step)
        ours, of_the_stage = model.by_stage(lambda x=x: [owner.penalty_loss(model, x, x, None) for owner in (StyleGAN, GAN)])
        assert of_the_stage > 0
        np.testing.assert_allclose(ours, factor * of_the_stage, rtol=1e-4)

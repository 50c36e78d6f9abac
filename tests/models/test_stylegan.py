"""Styles: adaptive normalisation, truncation, mixing, layer noise."""

import keras
import numpy as np
import pytest
from cases import batch, tiny

from tfgen import networks, noise
from tfgen.layers import SlowDense
from tfgen.models import StyleGAN
from tfgen.networks import style


@pytest.fixture
def model():
    return tiny("stylegan")


def test_adain_has_the_styles_mean_and_deviation():
    x, w = keras.Input((6, 5, 4)), keras.Input((3,))
    layer = keras.Model([x, w], style.adain(x, w))
    rng = np.random.default_rng(0)
    features, styles = rng.normal(3.0, 2.0, (2, 6, 5, 4)).astype("float32"), rng.normal(size=(2, 3)).astype("float32")
    y = layer([features, styles]).numpy()
    gain, bias = (part.kernel.numpy() / np.sqrt(3) for part in layer.layers if hasattr(part, "gain"))
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


def test_mapping_ignores_the_latents_length(model):
    z = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(model.styles(z), model.styles(7.0 * z), rtol=1e-4, atol=1e-6)


def test_truncation(model):
    seeds = np.arange(4)
    model.style_mean.assign([0.5, -1.0, 2.0])
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
    mixed = model.mixed(first, second, np.array([1.0, 3.0, 4.0])).numpy()
    assert mixed.shape == (3, 4, 3)
    np.testing.assert_array_equal(mixed[:, :, 0], [[1, 2, 2, 2], [1, 1, 1, 2], [1, 1, 1, 1]])


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_mixing_probability_and_mean_style(mixing):
    model = tiny("stylegan", mixing=mixing)
    seen = []
    mixed = model.mixed
    object.__setattr__(model, "mixed", lambda first, second, crossover: (
        seen.append((first.numpy(), crossover.numpy())), mixed(first, second, crossover))[1])
    model.generate(batch("stylegan", 64), training=True)
    first, crossover = seen[0]
    assert set(crossover) == ({4.0} if mixing == 0 else {1.0, 2.0, 3.0})
    np.testing.assert_allclose(model.style_mean, 0.005 * first.mean(0), rtol=1e-4)


def test_validation_does_not_move_the_mean_style(model):
    made = model.generate(batch("stylegan"), training=False)
    np.testing.assert_array_equal(model.style_mean, 0)
    x = batch("stylegan")
    # Samples are clipped.
    np.testing.assert_allclose(np.clip(made["image"][:2], 0, 1), model.sample(noise.seeds_of(x[:2])), atol=1e-5)
    np.testing.assert_array_equal(made["image"], model.generate(x, training=False)["image"])


def test_mismatches_are_named():
    critic = networks.style.critic((16, 16, 1), 2)
    with pytest.raises(ValueError, match=r"makes images of \(8, 8, 1\), the critic takes \(16, 16, 1\)"):
        StyleGAN(style.generator((8, 8, 1), 3, 3, 2, 1), critic)
    with pytest.raises(ValueError, match="must have the layers mapping and synthesis"):
        StyleGAN(networks.dcgan.generator((16, 16, 1), 3, 2), critic)
    with pytest.raises(ValueError, match="mixing expects a probability"):
        StyleGAN(style.generator((16, 16, 1), 3, 3, 2, 1), critic, mixing=2.0)

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import tiny

import tfgen
from tfgen.data.pairings import downscale
from tfgen.distributions.priors import Uniform
from tfgen.latent.pulse import pulse


def linear_gan(dim, side=4, channels=1, seed=0, prior=None, num_classes=None):
    """G(z) = 0.5 + z W / 20, or that times 1 + label."""
    z = keras.Input((dim,))
    kernel = keras.initializers.RandomNormal(stddev=0.05, seed=seed)
    x = keras.layers.Dense(side * side * channels, kernel_initializer=kernel,
                           bias_initializer=keras.initializers.Constant(0.5))(z)
    x = keras.layers.Reshape((side, side, channels))(x)
    inputs = z
    if num_classes:
        inputs = [z, keras.Input((), dtype="int64")]
        x = x * keras.ops.reshape(1.0 + keras.ops.cast(inputs[1], "float32"), (-1, 1, 1, 1))
    image = keras.Input((side, side, channels))
    critic_inputs = [image, keras.Input((), dtype="int64")] if num_classes else image
    critic = keras.Model(critic_inputs, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    return tfgen.GAN(keras.Model(inputs, x), critic, prior=prior or tfgen.distributions.Normal(), num_classes=num_classes)


def on_sphere(rows, dim, seed=1):
    z = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return z * dim**0.5 / np.linalg.norm(z, axis=1, keepdims=True)


def test_finds_the_latents_of_an_injective_generator():
    model, z = linear_gan(3, channels=2), on_sphere(5, 3)
    wanted = model.decode(z).numpy()
    found = pulse(model, downscale(wanted, 2), 2, steps=300, restarts=6)
    np.testing.assert_allclose(found.latents, z, atol=2e-3)
    np.testing.assert_allclose(found.images, wanted, atol=1e-3)
    assert found.distance.shape == (5,) and found.distance.max() < 1e-4


def test_finds_the_nearest_image_of_what_no_latent_makes():
    model = linear_gan(2)
    low = np.random.default_rng(3).uniform(size=(4, 2, 2, 1)).astype(np.float32)
    angles = np.linspace(0, 2 * np.pi, 5000)
    circle = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    every = downscale(model.decode(circle), 2).numpy()  # (5000, 2, 2, 1)
    best = np.sqrt(np.square(every[None] - low[:, None]).mean((2, 3, 4))).min(1)
    found = pulse(model, low, 2)
    np.testing.assert_allclose(found.distance, best, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.latents, axis=1), np.sqrt(2), rtol=1e-6)


def test_an_image_of_its_own_and_its_seed():
    model = linear_gan(12)
    low = np.random.default_rng(2).uniform(size=(5, 2, 2, 1)).astype(np.float32)
    together = pulse(model, low, 2, steps=20, seed=3)
    apart = pulse(model, low, 2, steps=20, seed=3, batch_size=2)
    alone = pulse(model, low[3:4], 2, steps=20, seed=3)
    for name in ("images", "latents", "distance"):
        np.testing.assert_allclose(getattr(apart, name), getattr(together, name), atol=1e-5)
        np.testing.assert_allclose(getattr(alone, name)[0], getattr(together, name)[3], atol=1e-5)
    np.testing.assert_array_equal(pulse(model, low, 2, steps=20, seed=3).latents, together.latents)
    assert np.abs(pulse(model, low, 2, steps=20, seed=4).latents - together.latents).max() > 0.1


def test_more_steps_and_restarts_come_nearer():
    model = tiny("vae")
    low = downscale(model.sample(np.arange(100, 104)), 2)
    by_steps = [pulse(model, low, 2, steps=steps, restarts=2).distance for steps in (1, 10, 100)]
    assert (by_steps[1] < by_steps[0]).all() and (by_steps[2] < by_steps[1]).all()
    fewer, more = (pulse(model, low, 2, steps=5, restarts=restarts).distance for restarts in (1, 8))
    assert (more <= fewer + 1e-6).all() and more.mean() < fewer.mean()


def test_one_trace_serves_every_step_and_batch():
    model, calls = linear_gan(3), []
    decode = model.decode
    model.decode = lambda z: calls.append(1) or decode(z)
    pulse(model, np.full((5, 2, 2, 1), 0.5, np.float32), 2, steps=50, restarts=2, batch_size=2)
    assert len(calls) <= 3  # in the loop, for the choice and of the verb


def test_conditional_models_take_their_labels():
    model, z = linear_gan(3, channels=2, num_classes=3), on_sphere(4, 3)
    labels = np.array([2, 0, 1, 2])
    low = downscale(model.decode(tf.constant(z), tf.constant(labels)), 2)
    found = pulse(model, low, 2, steps=300, label=labels)
    np.testing.assert_allclose(found.latents, z, atol=5e-3)
    with pytest.raises(ValueError, match="no option 'psi'"):
        pulse(model, low, 2, psi=1.0)


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["aae", "progan"])
def test_other_families(name):
    model = tiny(name)
    low = downscale(model.sample(np.arange(2)), 4)
    start, end = (pulse(model, low, 4, steps=steps, restarts=2).distance.mean() for steps in (1, 30))
    assert end < start


def test_latents_off_the_sphere_are_refused():
    low = np.zeros((1, 4, 4, 1), np.float32)
    for model, match in ((linear_gan(3, prior=Uniform()), "and Uniform"), (tiny("infogan"), "Normal prior"),
                         (tiny("autoencoder"), "no prior")):
        with pytest.raises(ValueError, match=match):
            pulse(model, low, 2)


@pytest.mark.parametrize("shape, factor, arguments, match", [
    ((1, 2, 2, 1), 3, {}, "divisor of the model's 4x4"), ((1, 4, 4, 1), 2, {}, r"\(B, 2, 2, 1\).*received \(1, 4, 4, 1\)"),
    ((2, 2, 1), 2, {}, "received"), ((0, 2, 2, 1), 2, {}, "B >= 1"), ((1, 2, 2, 1), 2.0, {}, r"factor\) expects an int"),
    ((1, 2, 2, 1), 2, {"steps": 0}, r"steps\) expects an int"), ((1, 2, 2, 1), 2, {"restarts": True}, "restarts"),
    ((1, 2, 2, 1), 2, {"learning_rate": 0.0}, "learning_rate"), ((1, 2, 2, 1), 2, {"seed": -1}, "seed")])
def test_what_is_refused(shape, factor, arguments, match):
    with pytest.raises(ValueError, match=match):
        pulse(linear_gan(3), np.zeros(shape, np.float32), factor, **arguments)


def test_images_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        pulse(linear_gan(3), np.full((1, 2, 2, 1), np.nan), 2)

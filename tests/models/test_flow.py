"""Flows: exact densities, bounds on the probability of levels, trained inverses, files and exports."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import images, tiny

from tfgen import Flow, noise
from tfgen.distributions import Logistic, Normal, UniformDequantisation, VariationalDequantisation
from tfgen.distributions.bijectors import (
    ActNorm,
    AffineCoupling,
    Chain,
    Flatten,
    InvertibleConv,
    Logit,
    MaskedAutoregressive,
    Permutation,
    Scaling,
    Squeeze,
)
from tfgen.errors import UserError
from tfgen.networks import coupling
from tfgen.serving import saved_model

SHAPE = (8, 8, 1)
RECIPES = ("nice", "realnvp", "glow", "maf")


def planar(steps=6, width=16):
    """A flow of points in the plane."""
    parts = [ActNorm()]
    for index in range(steps):
        parts += [AffineCoupling(coupling.dense_affine(1, 1, [width], "tanh"), invert=index % 2 == 1), ActNorm()]
    return Flow(Chain(parts), (2,))


def test_log_prob_is_the_change_of_variables():
    """An affine flow of normal latents is a Gaussian in closed form."""
    model = Flow(Chain([Scaling(), InvertibleConv()]), (3,))
    scaling, mixing = model.bijector.bijectors
    scaling.log_scale.assign([0.3, -1.0, 0.7])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    matrix = mixing(np.eye(3, dtype="float32")).numpy().T * np.exp([0.3, -1.0, 0.7])
    exact = scipy.stats.multivariate_normal(np.zeros(3), np.linalg.inv(matrix.T @ matrix)).logpdf(x)
    np.testing.assert_allclose(model.log_prob(x), exact, rtol=1e-4, atol=1e-4)
    logs = model.test_step(tf.constant(x))
    assert float(logs["loss"]) == pytest.approx(-exact.mean(), rel=1e-4)
    assert float(logs["bits_per_dim"]) == pytest.approx(np.log2(255) - exact.mean() / (3 * np.log(2)), rel=1e-4)


@pytest.mark.rotating
def test_a_learned_density_of_the_plane_integrates_to_one():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 4000)
    points = (np.stack([np.cos(angle), np.sin(angle)], 1) + 0.15 * rng.normal(size=(4000, 2))).astype("float32")
    for model in (planar(), Flow(Chain([MaskedAutoregressive([16]), Permutation(), MaskedAutoregressive([16])]), (2,))):
        model.compile(keras.optimizers.Adam(0.01))
        history = model.fit(points, batch_size=200, epochs=10, verbose=0).history["loss"]
        assert history[-1] < history[0] - 0.2
        side = np.linspace(-6, 6, 500, dtype="float32")
        grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
        mass = float(np.exp(model.log_prob(grid)).sum()) * float(side[1] - side[0])**2
        assert mass == pytest.approx(1.0, abs=0.01)
        x = points[:200]
        assert np.abs(model.decode(model.encode(x)) - x).max() < 1e-4
        assert float(model.evaluate(x, verbose=0, return_dict=True)["invertibility_error"]) < 1e-4


@pytest.mark.parametrize("prior, law", [(Normal(), scipy.stats.norm), (Logistic(), scipy.stats.logistic)])
def test_priors_density_is_that_of_their_samples(prior, law):
    z = prior.seeded(np.arange(4000), 2).numpy()
    np.testing.assert_allclose(prior.log_prob(tf.constant(z)), law.logpdf(z.astype(float)).sum(1), rtol=1e-4)
    assert scipy.stats.kstest(z.ravel(), law.cdf).pvalue > 0.01
    drawn = prior.draw(4000, 2, keras.random.SeedGenerator(0)).numpy()
    assert scipy.stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.01


def pair(dequantisation):
    """A flow of images of two pixels on three levels, away from its start."""
    model = Flow(Chain([Logit(0.05), Flatten(), MaskedAutoregressive([8])]), (1, 2, 1), Normal(), dequantisation)
    for weight in model.bijector.trainable_variables:
        weight.assign(weight + 0.3 * np.random.default_rng(weight.shape[0]).normal(size=weight.shape))
    return model


def variational():
    image = keras.Input((1, 2, 1))
    network = coupling.convolutional((1, 2, 2), 1, 4, context=1)
    part = VariationalDequantisation(3, Chain([Scaling(), AffineCoupling(network, "checkerboard")]),
                                     keras.Model(image, keras.layers.Rescaling(2.0, -1.0)(image)))
    part.build((None, 1, 2, 1))
    # Wide enough that 1 / q, which the estimates below average, has light tails.
    part.bijector.bijectors[0].log_scale.assign_add(np.full((1, 2, 1), 0.8))
    return part


@pytest.mark.rotating
@pytest.mark.parametrize("make", [lambda: UniformDequantisation(3), variational])
def test_probabilities_of_all_images_sum_to_one_and_the_bound_lies_below(make):
    model = pair(make())
    every = (np.array(list(itertools.product(range(3), repeat=2)), "float32") / 2).reshape(-1, 1, 2, 1)
    bound = tf.function(model.log_prob)
    tight = bound(every, k=tf.constant(10_000)).numpy().astype(float)
    # 0.05 / 0.9 of the logit's range lie beyond [0, 1] at each end: a flow may put mass there.
    side = np.linspace(0, 1, 901)[:-1] + 0.5 / 900
    y = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 1, 2, 1).astype("float32")
    density = np.exp(model.log_density(tf.constant(y)).numpy().astype(float)).reshape(3, 300, 3, 300)
    exact = density.mean((1, 3)).ravel() / 9
    np.testing.assert_allclose(np.exp(tight), exact, rtol=0.1)
    assert exact.sum() <= 1.0 + 1e-3
    losses = [float(model.compute_losses(np.repeat(every[index:index + 1], 4000, 0), True)["loss"]) for index in range(9)]
    assert np.all(-np.array(losses) <= np.log(exact) + 0.02)


def test_variational_noise_density_is_that_of_its_change_of_variables():
    """-log q(u | x) integrates to 1 over u: E_e[1 / q(u(e))] = 1 over the unit square."""
    part = variational()
    for weight in part.trainable_variables[1:]:
        weight.assign(weight + 0.1 * np.random.default_rng(1).normal(size=weight.shape))
    x = np.zeros((200_000, 1, 2, 1), "float32") + 0.5
    noise_in = np.random.default_rng(0).normal(size=x.shape).astype("float32")
    y, weight = part.forward(tf.constant(x), tf.constant(noise_in))
    u = 3 * y.numpy() - 1
    assert u.min() >= 0 and u.max() <= 1
    inverse_q = np.exp(weight.numpy().astype(float) + 2 * np.log(3))
    assert inverse_q.mean() == pytest.approx(1.0, abs=0.03)


# The tests of one recipe run in one process, so that it is trained once.
@pytest.fixture(scope="module", params=[
    pytest.param(name, marks=[pytest.mark.xdist_group(f"trained-{name}"), pytest.mark.rotating]) for name in RECIPES])
def trained(request):
    keras.utils.set_random_seed(1)
    model = tiny(request.param, learning_rate=3e-3)
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(120), verbose=0)
    return model


def test_a_trained_flow_is_inverted_to_1e_4(trained):
    x = images()
    y = trained.dequantisation.centre(x)
    assert float(trained.invertibility_error(y)) < 1e-4
    z = trained.bijector.forward_and_log_det(y)[0]
    np.testing.assert_allclose(trained.bijector.inverse(z), y, atol=1e-4)
    np.testing.assert_allclose(trained.decode(trained.encode(x)), np.round(255 * x) / 255, atol=2e-4)
    assert float(trained.last_error) < 1e-4


def test_every_weight_has_a_gradient(trained):
    with tf.GradientTape() as tape:
        loss = trained.compute_losses(images(), True)["loss"]
    found = tape.gradient(loss, trained.trainable_variables)
    assert [v.path for v, gradient in zip(trained.trainable_variables, found) if gradient is None] == []


def test_samples_are_on_the_levels_and_follow_the_temperature(trained):
    made = trained.sample(np.arange(5), np.float32([1, 1, 1, 0, 0])).numpy()
    np.testing.assert_allclose(255 * made, np.round(255 * made), atol=1e-4)
    np.testing.assert_array_equal(made[3], made[4])
    np.testing.assert_allclose(made[:3], trained.sample(np.arange(3)), atol=1.5 / 255)


@pytest.mark.rotating
def test_actnorm_set_by_fit_survives_a_file_and_an_export(tmp_path):
    keras.utils.set_random_seed(2)
    model = tiny("glow", learning_rate=1e-3)
    norm = model.bijector.bijectors[1]
    x, before = images(), norm.log_scale.numpy()
    model.fit(tf.data.Dataset.from_tensors(x).repeat(2), verbose=0)
    assert float(norm.initialised) == 1 and np.abs(norm.log_scale - before).min() > 0.1
    model.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.encode(x), model.encode(x))
    kept = loaded.bijector.bijectors[1].log_scale.numpy()
    loaded.fit(tf.data.Dataset.from_tensors(0.2 * x), verbose=0)
    # One step at rate 1e-3, and no second initialisation.
    np.testing.assert_allclose(loaded.bijector.bijectors[1].log_scale, kept, atol=2e-3)
    model.export(tmp_path / "served")
    served = saved_model.Served(tmp_path / "served")
    np.testing.assert_allclose(served("encode", x), model.encode(x), atol=1e-4)
    assert served.options["sample"]["temperature"].default == 1.0


def test_training_measures_the_inverse_every_hundred_steps():
    model = tiny("nice", learning_rate=1e-3)
    calls = tf.Variable(0)
    measure = model.invertibility_error

    def counted(y):
        calls.assign_add(1)
        return measure(y)

    model.invertibility_error = counted
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(250), verbose=0)
    assert int(calls) == 3


def test_log_prob_is_a_function_of_the_image():
    model = tiny("nice")
    x = images(6)
    np.testing.assert_allclose(model.log_prob(x)[2:3], model.log_prob(x[2:3]), rtol=1e-5)
    loss = -float(np.mean(model.log_prob(x)))
    assert float(model.compute_losses(x, False)["loss"]) == pytest.approx(loss, rel=1e-5)
    mixed = model.log_prob(x, k=np.array([1, 5, 1, 5, 1, 5])).numpy()
    np.testing.assert_allclose(mixed[1::2], model.log_prob(x, k=5).numpy()[1::2], rtol=1e-5)
    assert noise.seeds_of(x).shape == (6,)


def test_uniform_start_of_nice_is_a_closed_form():
    """Near-zero couplings and the scale 1: log P(x) = sum log logistic(y) - D log 256."""
    model = tiny("nice")
    x = images(4)
    y, _ = model.dequantisation.forward(tf.constant(x), model.dequantisation.seeded(noise.seeds_of(x), SHAPE, 0))
    y = y.numpy().astype(float)
    wanted = scipy.stats.logistic.logpdf(y).sum((1, 2, 3)) - 64 * np.log(256)
    np.testing.assert_allclose(model.log_prob(x), wanted, rtol=1e-3)


@pytest.mark.parametrize("name, shape, values, message", [
    ("glow", (7, 8, 1), {}, "glow expects images with even sides.*received 7x8 pixels"),
    ("realnvp", (28, 28, 1), {"levels": 3}, "'levels' expects a whole number in 1 ... 2, received 3")])
def test_images_that_cannot_be_squeezed(name, shape, values, message):
    from tfgen import recipes
    from tfgen.data import DataSpec

    with pytest.raises(UserError, match=message) as caught:
        recipes.find(name).model(DataSpec("odd", shape), **values)
    assert "\n" not in str(caught.value)


def test_mistakes_are_one_line():
    for make, message in ((lambda: Flow(keras.layers.Dense(2), (2,)), "expects a Bijector, received Dense"),
                          (lambda: Flow(Squeeze(), SHAPE), r"ends with vectors.*\(4, 4, 4\).*end it with Flatten"),
                          (lambda: UniformDequantisation(1), "expects at least 2, received 1"),
                          (lambda: VariationalDequantisation(2, None), "received NoneType")):
        with pytest.raises(UserError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)

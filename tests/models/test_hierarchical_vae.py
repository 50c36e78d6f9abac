"""The hierarchical VAE on linear-Gaussian hierarchies z_1 -> z_2 -> x, whose likelihood and posterior are known exactly."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import Input, Model, layers

from tfgen import HierarchicalVAE, noise, schedules
from tfgen.distributions import DiscretisedLogistic, Gaussian, gaussian_kl
from tfgen.networks import ladder

SHAPE, SIGMA, HIDDEN = (2, 2, 1), 0.5, 3


class Toy:
    """z_1 ~ N(m1, V1), z_2 ~ N(A z_1 + a, V2), x ~ N(B z_2 + b, SIGMA^2), V1 and V2 diagonal, in float64.

    The states are h_2 = (z_1, 0 ...) with HIDDEN values and h_3 = z_2.
    """

    def __init__(self, top=2, bottom=3, seed=0):
        rng = np.random.default_rng(seed)
        self.sizes = top, bottom
        self.m1, self.log_v1 = rng.normal(size=top), rng.normal(size=top) * 0.3
        self.a, self.log_v2 = rng.normal(size=bottom), rng.normal(size=bottom) * 0.3
        self.weights, self.b = (rng.normal(size=(bottom, top)), rng.normal(size=(4, bottom))), rng.normal(size=4)
        # Moments of the joint distribution of (z_1, z_2, x).
        A, B = self.weights
        v1, v2 = np.diag(np.exp(self.log_v1)), np.diag(np.exp(self.log_v2))
        mean2, cov2 = A @ self.m1 + self.a, A @ v1 @ A.T + v2
        self.mean = np.concatenate([self.m1, mean2, B @ mean2 + self.b])
        self.cov = np.block([[v1, v1 @ A.T, v1 @ A.T @ B.T], [A @ v1, cov2, cov2 @ B.T],
                             [B @ A @ v1, B @ cov2, B @ cov2 @ B.T + SIGMA**2 * np.eye(4)]])
        self.x = scipy.stats.multivariate_normal(self.mean[-4:], self.cov[-4:, -4:]).rvs(6, random_state=rng)
        self.images = self.x.reshape(6, *SHAPE).astype("float32")
        self.exact = scipy.stats.multivariate_normal(self.mean[-4:], self.cov[-4:, -4:]).logpdf(self.x)

    def conditional(self, wanted, given):
        """(gain, offset, covariance) of the dimensions `wanted` given those of `given`: N(gain v + offset, covariance)."""
        gain = self.cov[np.ix_(wanted, given)] @ np.linalg.inv(self.cov[np.ix_(given, given)])
        return (gain, self.mean[wanted] - gain @ self.mean[given],
                self.cov[np.ix_(wanted, wanted)] - gain @ self.cov[np.ix_(given, wanted)])

    def model(self, q1, q2, **about):
        """The model with q(z_1 | x) = N(gain x + offset, exp(log_var)) and q(z_2 | z_1, x), of (z_1, x), likewise."""
        (top, bottom), (A, B) = self.sizes, self.weights
        image = Input(SHAPE)
        flat = layers.Flatten()(image)
        encoder = Model(image, [flat, flat])
        h1, h2, h3, e = Input((HIDDEN,)), Input((HIDDEN,)), Input((bottom,)), Input((4,))
        z1, z2 = Input((top,)), Input((bottom,))
        priors = [Model(h1, layers.Dense(2 * top)(h1)), Model(h2, layers.Dense(2 * bottom)(h2))]
        posteriors = [Model([h, e], layers.Dense(2 * size)(layers.Concatenate()([h, e])))
                      for h, size in ((h1, top), (h2, bottom))]
        merges = [Model([h1, z1], layers.Add()([layers.Dense(HIDDEN, use_bias=False)(z1),
                                                layers.Dense(HIDDEN, use_bias=False)(h1)])),
                  Model([h2, z2], layers.Add()([z2, layers.Dense(bottom, use_bias=False)(h2)]))]
        decoder = Model(h3, layers.Reshape(SHAPE)(layers.Dense(4)(h3)))
        made = HierarchicalVAE(encoder, priors, posteriors, merges, decoder, Gaussian(SIGMA), **about)

        def kernel(gain, at, size, inputs):
            """(inputs, 2 size) of a mean gain v, v at the inputs `at`, and a log variance without weights."""
            whole = np.zeros((inputs, 2 * size))
            whole[np.ix_(at, range(size))] = gain.T
            return whole

        places = list(range(top))
        priors[0].set_weights([np.zeros((HIDDEN, 2 * top)), np.concatenate([self.m1, self.log_v1])])
        priors[1].set_weights([kernel(A, places, bottom, HIDDEN), np.concatenate([self.a, self.log_v2])])
        x_places = list(range(HIDDEN, HIDDEN + 4))
        for network, (gain, offset, log_var), at, size in ((posteriors[0], q1, x_places, top),
                                                           (posteriors[1], q2, places + x_places, bottom)):
            network.set_weights([kernel(gain, at, size, HIDDEN + 4), np.concatenate([offset, log_var])])
        merges[0].set_weights([np.eye(top, HIDDEN), np.zeros((HIDDEN, HIDDEN))])
        merges[1].set_weights([np.zeros((HIDDEN, bottom))])
        decoder.set_weights([B.T, self.b])
        return made

    def random_posterior(self, seed=1):
        rng = np.random.default_rng(seed)
        top, bottom = self.sizes
        return tuple((0.3 * rng.normal(size=(size, inputs)), rng.normal(size=size), 0.3 * rng.normal(size=size))
                     for size, inputs in ((top, 4), (bottom, top + 4)))


def with_signs(model, images):
    """Images repeated for noises that are all combinations of -1 and 1, which average any quadratic function exactly."""
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=model.latent_shape[0])), "float32")
    model.posterior_noise = lambda seeds, index: model.split(tf.constant(np.tile(signs, (len(images), 1))))
    return np.repeat(images, len(signs), 0), signs


def gaussian_divergence(mean, cov, other_mean, other_cov):
    """KL(N(mean, cov) || N(other_mean, other_cov)) in float64."""
    inverse, left = np.linalg.inv(other_cov), other_mean - mean
    return 0.5 * (np.trace(inverse @ cov) + left @ inverse @ left - len(mean)
                  + np.linalg.slogdet(other_cov)[1] - np.linalg.slogdet(cov)[1])


def test_the_exact_posterior_makes_the_bound_exact():
    """With one latent per layer the posterior is diagonal: log w is constant and every k gives log p(x)."""
    toy = Toy(1, 1)
    q1, q2 = toy.conditional([0], [2, 3, 4, 5]), toy.conditional([1], [0, 2, 3, 4, 5])
    model = toy.model(*((gain, offset, np.log(np.diag(cov))) for gain, offset, cov in (q1, q2)))
    for k in (1, 7):
        np.testing.assert_allclose(model.log_prob(toy.images, k=k), toy.exact, rtol=1e-4)
    x, _ = with_signs(model, toy.images)
    assert float(model.compute_losses(x, False)["elbo"]) == pytest.approx(toy.exact.mean(), rel=1e-5)


def test_another_posterior_is_below_by_its_divergence_from_the_exact_one():
    toy = Toy()
    q1, q2 = toy.random_posterior()
    model, top = toy.model(q1, q2), toy.sizes[0]
    gain, offset, cov = toy.conditional(list(range(5)), [5, 6, 7, 8])
    gaps = []
    for x in toy.x:
        mean1, by_z, by_x = q1[0] @ x + q1[1], q2[0][:, :top], q2[0][:, top:]
        mean = np.concatenate([mean1, by_z @ mean1 + by_x @ x + q2[1]])
        v1, v2 = np.diag(np.exp(q1[2])), np.diag(np.exp(q2[2]))
        q_cov = np.block([[v1, v1 @ by_z.T], [by_z @ v1, by_z @ v1 @ by_z.T + v2]])
        gaps.append(gaussian_divergence(mean, q_cov, gain @ x + offset, cov))
    x, _ = with_signs(model, toy.images)
    losses = {key: float(value) for key, value in model.compute_losses(x, False).items()}
    assert losses["elbo"] == pytest.approx((toy.exact - gaps).mean(), rel=1e-5)
    assert losses["loss"] == pytest.approx(-losses["elbo"], rel=1e-6) and np.mean(gaps) > 1.0
    assert losses["kl"] == pytest.approx(losses["kl_1"] + losses["kl_2"], rel=1e-6)


def test_kl_of_each_layer_against_float64():
    toy = Toy()
    (gain1, offset1, log_var1), (gain2, offset2, log_var2) = q = toy.random_posterior(2)
    model = toy.model(*q)
    x, signs = with_signs(model, toy.images)
    flat, signs, top = x.reshape(len(x), 4).astype(float), np.tile(signs, (len(toy.x), 1)).astype(float), toy.sizes[0]
    mean1 = flat @ gain1.T + offset1
    z1 = mean1 + np.exp(0.5 * log_var1) * signs[:, :top]
    mean2 = np.concatenate([z1, flat], 1) @ gain2.T + offset2

    def kl(mean, log_var, prior_mean, prior_log_var):
        law, other = np.exp(log_var), np.exp(prior_log_var)
        return (0.5 * (law / other + (mean - prior_mean) ** 2 / other - 1 + prior_log_var - log_var)).sum(-1).mean()

    losses = model.compute_losses(x, False)
    assert float(losses["kl_1"]) == pytest.approx(kl(mean1, log_var1, toy.m1, toy.log_v1), rel=1e-5)
    prior2 = z1 @ toy.weights[0].T + toy.a
    assert float(losses["kl_2"]) == pytest.approx(kl(mean2, log_var2, prior2, toy.log_v2), rel=1e-5)


@pytest.mark.rotating
def test_bound_rises_to_the_exact_value():
    toy = Toy(1, 2)
    q1, q2 = toy.conditional([0], [3, 4, 5, 6]), toy.conditional([1, 2], [0, 3, 4, 5, 6])
    # Too wide in both layers, and diagonal in the lower one, whose exact posterior is not.
    model = toy.model(*((gain, offset, np.log(2.0 * np.diag(cov))) for gain, offset, cov in (q1, q2)))
    bound = tf.function(model.log_prob)
    gaps = [float(np.mean(toy.exact - bound(toy.images, k=tf.constant(k)))) for k in (1, 10, 3000)]
    assert gaps[0] > gaps[1] > gaps[2] > -0.03 and gaps[2] < 0.1
    mixed = model.log_prob(toy.images, k=np.array([1, 20, 1, 20, 1, 20])).numpy()
    np.testing.assert_allclose(mixed[1::2], model.log_prob(toy.images, k=20).numpy()[1::2], rtol=1e-5)
    np.testing.assert_allclose(mixed[2], model.log_prob(toy.images[2:3], k=1).numpy()[0], rtol=1e-5)


def test_samples_are_drawn_top_down():
    toy = Toy()
    model, top = toy.model(*toy.random_posterior()), toy.sizes[0]
    epsilon = noise.normal(np.arange(5), (5,)).numpy()
    for temperature in (0.0, 0.4, 1.0):
        z1 = toy.m1 + temperature * np.exp(0.5 * toy.log_v1) * epsilon[:, :top]
        z2 = z1 @ toy.weights[0].T + toy.a + temperature * np.exp(0.5 * toy.log_v2) * epsilon[:, top:]
        wanted = np.clip(z2 @ toy.weights[1].T + toy.b, 0, 1).reshape(5, *SHAPE)
        np.testing.assert_allclose(model.sample(np.arange(5), temperature), wanted, atol=1e-5)
    means = model.sample(np.arange(3), np.array([0.0, 0.0, 1.0])).numpy()
    np.testing.assert_array_equal(means[0], means[1])
    assert np.abs(means[2] - means[0]).max() > 0


def test_layers_can_be_drawn_anew_below_those_that_are_kept():
    model = Toy().model(*Toy().random_posterior())
    seeds, others = np.arange(4), np.arange(10, 14)
    np.testing.assert_array_equal(model.resample(seeds, others, 2), model.sample(seeds))
    np.testing.assert_array_equal(model.resample(seeds, others, 0), model.sample(others))
    between = model.resample(seeds, others, 1).numpy()
    assert np.abs(between - model.sample(seeds)).max() > 1e-3 and np.abs(between - model.sample(others)).max() > 1e-3


def test_codes_are_posterior_means_top_down_and_decode_to_reconstructions():
    toy = Toy()
    (gain1, offset1, _), (gain2, offset2, _) = q = toy.random_posterior()
    model = toy.model(*q)
    z1 = toy.x @ gain1.T + offset1
    z2 = np.concatenate([z1, toy.x], 1) @ gain2.T + offset2
    codes = model.encode(toy.images).numpy()
    assert model.latent_shape == (5,) and model.layer_shapes == [(2,), (3,)]
    np.testing.assert_allclose(codes, np.concatenate([z1, z2], 1), rtol=1e-4, atol=1e-4)
    images = np.clip(codes[:, 2:] @ toy.weights[1].T + toy.b, 0, 1).reshape(6, *SHAPE)
    np.testing.assert_allclose(model.decode(codes), images, atol=1e-5)
    np.testing.assert_array_equal(model.decode(codes), model.reconstruct(toy.images))
    grids = [np.random.default_rng(0).normal(size=(3, *shape)).astype("float32") for shape in model.layer_shapes]
    for ours, theirs in zip(grids, model.split(model.joined(grids)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_kl_weight_and_free_bits_of_a_layer():
    toy = Toy()
    q = toy.random_posterior()
    free = toy.model(*q).compute_losses(toy.images, False)
    low, high = sorted((float(free["kl_1"]), float(free["kl_2"])))
    floor = 0.5 * (low + high)
    for weight, step, factor in ((0.0, 0, 0.0), (4.0, 0, 4.0), (schedules.warmup(10, 2.0), 5, 1.0)):
        for free_bits, wanted in ((0.0, low + high), (floor, floor + high)):
            model = toy.model(*q, kl_weight=weight, free_bits=free_bits)
            model.compile("adam")
            model.optimizer.iterations.assign(step)
            losses = {key: float(value) for key, value in model.compute_losses(toy.images, False).items()}
            assert losses["loss"] == pytest.approx(losses["reconstruction"] + factor * wanted, rel=1e-5)
            assert losses["elbo"] == pytest.approx(-losses["reconstruction"] - low - high, rel=1e-5)


def grids_model(shape=(5, 7, 2), **about):
    networks = ladder.hierarchy(shape, 2 * shape[-1], widths=[4, 6], hidden=[4, 2], counts=[2, 1], channels=[3, 2])
    return HierarchicalVAE(**networks, likelihood=DiscretisedLogistic(), **about)


@pytest.mark.rotating
def test_a_file_holds_all_networks(tmp_path):
    model = grids_model(kl_weight=schedules.warmup(10), free_bits=0.5)
    model.compile("adam")
    images = np.random.default_rng(0).uniform(size=(4, 5, 7, 2)).astype("float32")
    model.fit(tf.data.Dataset.from_tensors(images).repeat(3), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.loss_names == ("reconstruction", "kl", "elbo", "kl_1", "kl_2", "kl_3") and loaded.free_bits == 0.5
    np.testing.assert_array_equal(loaded.log_prob(images), model.log_prob(images))
    np.testing.assert_array_equal(loaded.sample(np.arange(3)), model.sample(np.arange(3)))


def test_every_network_is_trained():
    model = grids_model()
    images = np.random.default_rng(0).uniform(size=(4, 5, 7, 2)).astype("float32")
    for weight in model.trainable_variables:  # those that start at 0 hold back the gradients of others
        weight.assign_add(0.1 * np.random.default_rng(1).normal(size=weight.shape))
    with tf.GradientTape() as tape:
        loss = model.compute_losses(images, True)["loss"]
    # The top's state is 0: the kernels that its prior multiplies it by do not matter.
    idle = [id(weight) for weight in model.priors[0].trainable_variables if len(weight.shape) > 1]
    for weight, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
        assert id(weight) in idle or np.abs(gradient).max() > 0


def test_mistakes_name_both_sides():
    parts = ladder.hierarchy((8, 8, 1), 2, widths=[4, 6], hidden=[4, 2], counts=[1, 1], channels=[3, 2])
    other = ladder.hierarchy((8, 8, 1), 2, widths=[5, 6], hidden=[4, 2], counts=[1, 1], channels=[3, 2])
    for change, message in (({"priors": parts["priors"][:1]}, "received 2, 1, 2, 2"),
                            ({"priors": other["priors"]}, r"layer 1: .* \(1, 1, 5\), received \(1, 1, 4\)"),
                            ({"merges": parts["merges"][::-1]}, "layer 1"),
                            ({"decoder": other["encoder"]}, "the decoder must take"),
                            ({"likelihood": Gaussian(0.1)}, r"must give \(8, 8, 1\)")):
        with pytest.raises(ValueError, match=message) as caught:
            HierarchicalVAE(**({"likelihood": DiscretisedLogistic()} | parts | change))
        assert "\n" not in str(caught.value)


def test_kl_against_a_prior_that_is_not_standard():
    law, other = (0.7, 0.4), (-0.5, -0.3)
    z = scipy.stats.norm(law[0], np.exp(law[1] / 2)).rvs(400_000, random_state=0)
    log_ratio = np.subtract(*(scipy.stats.norm.logpdf(z, mean, np.exp(log_var / 2)) for mean, log_var in (law, other)))
    assert float(gaussian_kl(*law, *other)) == pytest.approx(log_ratio.mean(), abs=0.01)
    assert float(gaussian_kl(*law, *law)) == pytest.approx(0.0, abs=1e-6)
    assert float(gaussian_kl(*law, 0.0, 0.0)) == pytest.approx(float(gaussian_kl(*law)), rel=1e-6)

"""Bounds against the exact marginal likelihood."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import VAE, metrics, noise, schedules
from tfgen.distributions import Gaussian
from tfgen.models.base.bounds import importance_weighted
from tfgen.networks import mlp

SHAPE = (2, 2, 1)
SIGMA = 0.5


def linear_gaussian(latent=2, kl_weight=1.0, **about):
    """Probabilistic PCA: x = W z + b + SIGMA e, whose p(x) and posterior are Gaussian in closed form."""
    model = VAE(mlp.encoder(SHAPE, [], 2 * latent), mlp.decoder(latent, [], SHAPE), Gaussian(SIGMA), kl_weight, **about)
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(latent, 4)), rng.normal(size=4)
    model.decoder.set_weights([w, b])
    precision = np.eye(latent) + w @ w.T / SIGMA**2
    covariance = np.linalg.inv(precision)
    x = (rng.normal(size=(6, latent)) @ w + b + SIGMA * rng.normal(size=(6, 4)))
    exact = scipy.stats.multivariate_normal(b, w.T @ w + SIGMA**2 * np.eye(4)).logpdf(x)
    return model, x.reshape(6, *SHAPE).astype("float32"), exact, (w, b, covariance)


def with_best_diagonal_posterior(model, w, b, covariance):
    """Sets the encoder to the exact posterior mean and the best diagonal variance, 1 / precision."""
    gain = covariance @ w / SIGMA**2
    variance = 1.0 / np.diag(np.linalg.inv(covariance))
    kernel = np.concatenate([gain.T, np.zeros_like(gain.T)], 1)
    model.encoder.set_weights([kernel, np.concatenate([-gain @ b, np.log(variance)])])


def test_one_latent_makes_the_bound_exact():
    """With one latent the diagonal posterior is the true one: log w is constant and every k gives log p(x)."""
    model, x, exact, parts = linear_gaussian(latent=1)
    with_best_diagonal_posterior(model, *parts)
    for k in (1, 7):
        np.testing.assert_allclose(model.log_prob(x, k=k), exact, rtol=1e-4)


def test_bound_rises_to_the_exact_value():
    model, x, exact, _ = linear_gaussian()
    bound = tf.function(model.log_prob)
    gaps = [float(np.mean(exact - bound(x, k=tf.constant(k)))) for k in (1, 10, 1000)]
    assert gaps[0] > gaps[1] > gaps[2] > -0.05
    with_best_diagonal_posterior(model, *linear_gaussian()[3])
    np.testing.assert_allclose(bound(x, k=tf.constant(2000)), exact, atol=0.1)


def test_loss_is_the_elbo_in_closed_form():
    """E_q[-log p(x|z)] = -log p(x|mean) + sum_j v_j ||W_j||^2 / (2 sigma^2) for a linear decoder."""
    model, x, _, (w, b, covariance) = linear_gaussian()
    with_best_diagonal_posterior(model, w, b, covariance)
    model.compile("adam")
    mean, log_var = (part.numpy() for part in model.posterior(x))
    at_mean = scipy.stats.norm.logpdf(x.reshape(6, 4), mean @ w + b, SIGMA).sum(1)
    spread = (np.exp(log_var) * np.square(w).sum(1)).sum(1) / (2 * SIGMA**2)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(1)
    drawn = [model.compute_losses(np.repeat(x, 400, axis=0), True) for _ in range(5)]
    assert float(drawn[0]["kl"]) == pytest.approx(kl.mean(), rel=1e-4)
    assert np.mean([d["loss"] for d in drawn]) == pytest.approx(float((spread - at_mean + kl).mean()), rel=0.02)


def test_importance_weighted_loss_is_minus_the_bound():
    model, x, _, _ = linear_gaussian(importance_samples=5)
    model.compile("adam")
    loss = float(model.compute_losses(x, False)["loss"])
    assert loss == pytest.approx(-float(np.mean(model.log_prob(x, k=5))), rel=1e-5)


def test_importance_weighted_gradient_by_hand():
    """sum_i w_i / sum_j w_j * d log w_i (Burda et al., 2016, equation 14), with z_i = mean + sigma e_i."""
    model, x, _, (w, b, _) = linear_gaussian(importance_samples=5)
    model.compile("adam")
    with tf.GradientTape() as tape:
        loss = model.compute_losses(tf.constant(x), False)["loss"]
    encoder_bias, decoder_bias = model.encoder.trainable_variables[-1], model.decoder.trainable_variables[-1]
    found = tape.gradient(loss, [encoder_bias, decoder_bias])
    mean, log_var = (part.numpy().astype(float) for part in model.posterior(x))
    epsilon = np.stack([model.posterior_noise(noise.seeds_of(x), i).numpy() for i in range(5)]).astype(float)  # (k, B, d)
    z = mean + np.exp(0.5 * log_var) * epsilon
    left = x.reshape(6, 4) - z @ w - b
    log_weight = (scipy.stats.norm.logpdf(left, 0, SIGMA).sum(-1) + scipy.stats.norm.logpdf(z).sum(-1)
                  - scipy.stats.norm.logpdf(z, mean, np.exp(0.5 * log_var)).sum(-1))
    share = np.exp(log_weight - scipy.special.logsumexp(log_weight, 0))[..., None]
    by_z = left @ w.T / SIGMA**2 - z
    by_log_var = 0.5 * (by_z * np.exp(0.5 * log_var) * epsilon + 1.0)
    wanted = [np.concatenate([by_z, by_log_var], -1), left / SIGMA**2]
    for gradient, of_sample in zip(found, wanted):
        np.testing.assert_allclose(gradient, -(share * of_sample).sum(0).mean(0), rtol=2e-3, atol=1e-4)


def test_k_may_differ_in_a_batch_and_rows_are_independent():
    model, x, _, _ = linear_gaussian()
    mixed = model.log_prob(x, k=np.array([1, 20, 1, 20, 1, 20])).numpy()
    np.testing.assert_allclose(mixed[1::2], model.log_prob(x, k=20).numpy()[1::2], rtol=1e-5)
    np.testing.assert_allclose(mixed[2], model.log_prob(x[2:3], k=1).numpy()[0], rtol=1e-5)


def test_kl_weight_and_free_bits():
    x = linear_gaussian()[1]
    for weight, step, factor in ((0.0, 0, 0.0), (4.0, 0, 4.0), (schedules.warmup(10, 2.0), 5, 1.0),
                                 (schedules.warmup(10, 2.0), 50, 2.0), (schedules.Cyclical(10), 12, 0.4)):
        model = linear_gaussian(kl_weight=weight)[0]
        model.compile("adam")
        model.optimizer.iterations.assign(step)
        losses = {key: float(value) for key, value in model.compute_losses(x, False).items()}
        assert losses["loss"] == pytest.approx(losses["reconstruction"] + factor * losses["kl"], rel=1e-5)
        assert losses["elbo"] == pytest.approx(-losses["reconstruction"] - losses["kl"], rel=1e-5)


def test_free_bits_floor_the_batch_mean_of_each_dimension():
    """A floor between the two dimensions' mean KL, and within the images' KL of the upper one."""
    model, x, _, _ = linear_gaussian()
    mean, log_var = (part.numpy() for part in model.posterior(x))
    kl = 0.5 * (np.square(mean) + np.exp(log_var) - 1 - log_var)  # (images, dimensions)
    means = kl.mean(0)
    free_bits = float(means.mean())
    assert means.min() < free_bits < means.max() and (kl[:, means.argmax()] < free_bits).any()
    model.free_bits = free_bits
    model.compile("adam")
    losses = model.compute_losses(x, False)
    found = float(losses["loss"] - losses["reconstruction"])
    assert found == pytest.approx(np.maximum(means, free_bits).sum(), rel=1e-4)
    assert found != pytest.approx(np.maximum(kl, free_bits).sum(1).mean(), rel=1e-2)


def test_labels_reach_both_networks():
    model = VAE(mlp.encoder(SHAPE, [], 4, num_classes=3), mlp.decoder(2, [], SHAPE, num_classes=3), num_classes=3)
    x = np.full((2, *SHAPE), 0.5, "float32")
    labels = np.array([0, 2])
    codes = model.encode(x, labels).numpy()
    images = model.sample(np.array([4, 4]), labels).numpy()
    assert np.abs(codes[0] - codes[1]).max() > 1e-3 and np.abs(images[0] - images[1]).max() > 1e-3
    np.testing.assert_allclose(codes[1] - codes[0],
                               (model.encoder.get_weights()[0][6] - model.encoder.get_weights()[0][4])[:2], atol=1e-5)


def test_sample_decodes_seeded_noise():
    model, _, _, (w, b, _) = linear_gaussian()
    z = noise.normal(np.arange(3), (2,)).numpy()
    np.testing.assert_allclose(model.sample(np.arange(3)), np.clip((z @ w + b).reshape(3, *SHAPE), 0, 1), atol=1e-5)


def test_mistakes_name_both_sides():
    encoder, decoder = mlp.encoder(SHAPE, [], 4), mlp.decoder(2, [], SHAPE)
    for make, message in (
            (lambda: VAE(mlp.encoder(SHAPE, [], 3), decoder), "4 values .* gives 3"),
            (lambda: VAE(encoder, mlp.decoder(2, [], (2, 2, 3))), r"\(2, 2, 1\).*\(2, 2, 3\)"),
            (lambda: VAE(encoder, decoder, Gaussian(None)), r"must give \(2, 2, 2\)"),
            (lambda: VAE(encoder, decoder, num_classes=3), "must take 2 input"),
            (lambda: VAE(encoder, decoder, importance_samples=0), "at least 1"),
            (lambda: VAE(encoder, decoder, kl_weight=2.0, importance_samples=5), "leave kl_weight")):
        with pytest.raises(ValueError, match=message):
            make()


def test_schedules_survive_a_file(tmp_path):
    model = linear_gaussian(kl_weight=schedules.Cyclical(10, 2.0))[0]
    model.compile("adam")
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.kl_weight.get_config() == {"steps": 10, "end": 2.0}


def test_bits_per_dim_and_active_units():
    assert metrics.bits_per_dim(-8 * np.log(2), (2, 2, 1)) == pytest.approx(2.0)
    assert metrics.bits_per_dim(0.0, (2, 2, 1), 8.0) == 8.0
    codes = np.random.default_rng(0).normal(size=(500, 3)) * np.array([1.0, 0.05, 0.2])
    assert metrics.active_units(codes) == 2
    # A million codes far from 0, whose float32 sum would lose their spread.
    far = np.full((1_000_000, 1), 1000.0, np.float32)
    far[::2] += 0.125
    assert metrics.active_units(far) == 0 and metrics.active_units(far, 0.003) == 1


def test_a_vae_with_a_fixed_batch_learns_probabilistic_pca():
    """Training reaches the exact likelihood of the maximum-likelihood solution to within its gap."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2000, 1)) @ rng.normal(size=(1, 4)) + 0.5 * rng.normal(size=(2000, 4))).astype("float32")
    model = VAE(mlp.encoder(SHAPE, [], 2), mlp.decoder(1, [], SHAPE), Gaussian(SIGMA))
    model.compile(keras.optimizers.Adam(0.02))
    batches = tf.data.Dataset.from_tensors(x.reshape(-1, *SHAPE)).repeat(300)
    loss = model.fit(batches, epochs=1, verbose=0).history["loss"][0]
    found = -model.evaluate(batches.take(1), verbose=0, return_dict=True)["loss"]
    covariance = np.cov(x.T)
    values, vectors = np.linalg.eigh(covariance)
    w = vectors[:, -1:] * np.sqrt(values[-1] - SIGMA**2)
    best = scipy.stats.multivariate_normal(x.mean(0), w @ w.T + SIGMA**2 * np.eye(4)).logpdf(x).mean()
    assert loss > -found and found == pytest.approx(best, abs=0.05)


@pytest.mark.parametrize("weight", [-7000.0, -2000.0, 3.0])
def test_a_bound_of_many_equal_weights_is_the_weight(weight):
    """In float32, log (1/k) of a sum of k exponentials next to 7,000 nats would lose those after the first thousand."""
    bound = tf.function(lambda k: importance_weighted(lambda index: tf.fill([2], weight), k, 2))
    np.testing.assert_allclose(bound(tf.constant([3, 20000])), weight, atol=1e-3)


def test_a_bound_of_different_weights_against_float64():
    weights = (-2000.0 + 3.0 * np.random.default_rng(0).normal(size=5000)).astype("float32")
    found = tf.function(lambda: importance_weighted(lambda index: tf.constant(weights)[index][None], 5000, 1))()
    exact = scipy.special.logsumexp(weights.astype(float)) - np.log(5000)
    np.testing.assert_allclose(found, exact, atol=1e-3)

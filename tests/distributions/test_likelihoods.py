import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfgen.distributions import Bernoulli, DiscretisedLogistic, Gaussian, bernoulli_kl, gaussian_kl, gaussian_log_prob

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(3, 4, 4, 2)).astype("float32")
P = RNG.normal(size=(3, 4, 4, 2)).astype("float32")
S = RNG.normal(-2.0, 0.5, size=(3, 4, 4, 2)).astype("float32")


def both():
    return tf.constant(np.concatenate([P, S], -1))


def bounded(raw):
    return -6.0 + np.log1p(np.exp(raw.astype("float64") + 6.0))


def test_bernoulli_against_scipy():
    binary = (X > 0.5).astype("float32")
    probability = 1 / (1 + np.exp(-P.astype("float64")))
    wanted = scipy.stats.bernoulli.logpmf(binary, probability).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli().log_prob(P, binary), wanted, rtol=1e-5)


def test_gaussian_against_scipy():
    wanted = scipy.stats.norm.logpdf(X.astype("float64"), P, 0.3).sum((1, 2, 3))
    np.testing.assert_allclose(Gaussian(0.3).log_prob(P, X), wanted, rtol=1e-5)
    wanted = scipy.stats.norm.logpdf(X.astype("float64"), P, np.exp(bounded(S))).sum((1, 2, 3))
    np.testing.assert_allclose(Gaussian(None).log_prob(both(), X), wanted, rtol=1e-4)


def test_discretised_logistic_against_a_difference_of_cdfs():
    levels = np.round(X * 255) / 255
    law = scipy.stats.logistic(P.astype("float64"), np.exp(bounded(S)))
    left, right = levels - 0.5 / 255, levels + 0.5 / 255
    # Each difference is exact in its own tail.
    mass = np.maximum(law.cdf(right) - law.cdf(left), law.sf(left) - law.sf(right))
    mass = np.where(levels >= 1, law.sf(left), np.where(levels <= 0, law.cdf(right), mass))
    np.testing.assert_allclose(DiscretisedLogistic().log_prob(both(), levels.astype("float32")),
                               np.log(mass).sum((1, 2, 3)), rtol=1e-4)


def test_discretised_logistic_sums_to_one_over_the_levels():
    for bits in (1, 3, 8):
        grey = (np.arange(2**bits) / (2**bits - 1)).astype("float32")[:, None, None, None]
        parameters = np.broadcast_to(np.float32([0.3, -1.0]), (2**bits, 1, 1, 2))
        total = np.exp(DiscretisedLogistic(bits).log_prob(tf.constant(parameters), grey)).sum()
        assert total == pytest.approx(1.0, abs=1e-4)
    # 17 levels: no power of two.
    grey, seventeen = (np.arange(17) / 16).astype("float32")[:, None, None, None], DiscretisedLogistic(levels=17)
    parameters = tf.constant(np.broadcast_to(np.float32([0.3, -1.0]), (17, 1, 1, 2)))
    assert np.exp(seventeen.log_prob(parameters, grey)).sum() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_array_equal(DiscretisedLogistic(levels=16).log_prob(both(), X),
                                  DiscretisedLogistic(4).log_prob(both(), X))
    drawn = seventeen.draw(both(), np.full(X.shape, 0.4, "float32"), np.ones(3, "float32"))
    np.testing.assert_allclose(16 * drawn.numpy() % 1, 0, atol=1e-6)


def test_extreme_parameters_stay_finite():
    for likelihood, parameters in ((Bernoulli(), 200.0 * P), (DiscretisedLogistic(), 50.0 * both()),
                                   (Gaussian(None), both() - 100.0)):
        with tf.GradientTape() as tape:
            parameters = tf.convert_to_tensor(parameters)
            tape.watch(parameters)
            value = likelihood.log_prob(parameters, X)
        assert np.isfinite(value).all() and np.isfinite(tape.gradient(value, parameters)).all()
        assert likelihood.mean(parameters).shape == X.shape


def test_kl_against_monte_carlo_and_hand_worked_values():
    mean, log_var = np.float32([0.5, -1.0]), np.float32([0.2, -0.7])
    assert float(gaussian_kl(0.0, 0.0)) == 0.0
    assert float(gaussian_kl(1.0, 0.0)) == pytest.approx(0.5)
    z = mean + np.exp(log_var / 2) * RNG.normal(size=(400_000, 2)).astype("float32")
    estimate = (gaussian_log_prob(z, mean, log_var) - gaussian_log_prob(z)).numpy().mean(0)
    np.testing.assert_allclose(gaussian_kl(mean, log_var), estimate, atol=0.01)


def test_bernoulli_kl():
    assert float(bernoulli_kl(0.05, np.float32(0.05))) == pytest.approx(0.0, abs=1e-6)
    assert float(bernoulli_kl(0.5, np.float32(0.25))) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), abs=1e-6)
    assert np.isfinite(bernoulli_kl(0.05, np.float32([0.0, 1.0]))).all()


@pytest.mark.parametrize("make", [lambda: Gaussian(0.0), lambda: Gaussian(-1), lambda: DiscretisedLogistic(0),
                                  lambda: DiscretisedLogistic(levels=1)])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="expects"):
        make()

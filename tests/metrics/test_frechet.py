import math

import numpy as np
import pytest
import scipy.linalg

from tfgen.metrics import KernelDistance, Moments, frechet_distance


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


def covariance(rng, width, rank):
    factor = rng.normal(size=(width, rank))
    return factor @ factor.T / rank


def test_distance_of_diagonal_and_rotated_gaussians_is_the_closed_form():
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.normal(size=(2, 5))
    std_a, std_b = rng.uniform(0.1, 3.0, size=(2, 5))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for q in (np.eye(5), turn):
        a, b = ((q @ mean, q @ np.diag(std**2) @ q.T) for mean, std in ((mean_a, std_a), (mean_b, std_b)))
        np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-10)
        np.testing.assert_allclose(frechet_distance(b, a), expected, rtol=1e-10)
        assert frechet_distance(a, a) < 1e-10


@pytest.mark.parametrize("ranks", [(6, 6), (3, 6), (2, 3), (1, 1)])
def test_distance_agrees_with_sqrtm(ranks):
    rng = np.random.default_rng(sum(ranks))
    first, second = (covariance(rng, 6, rank) for rank in ranks)
    mean = rng.normal(size=6)
    # sqrtm of a singular matrix is accurate to about 1e-4 only: a ridge of 1e-9 changes less than that.
    ridge = 1e-9 * np.eye(6)
    root = scipy.linalg.sqrtm((first + ridge) @ (second + ridge))
    expected = mean @ mean + np.trace(first + second - 2.0 * np.real(root))
    np.testing.assert_allclose(frechet_distance((mean, first), (np.zeros(6), second)), expected, rtol=1e-3)


def test_distance_of_equal_singular_covariances_is_zero():
    cov = covariance(np.random.default_rng(1), 40, 3)
    assert frechet_distance((np.zeros(40), cov), (np.zeros(40), cov)) < 1e-8


def test_distance_refuses_other_widths_and_numbers_that_are_not_finite():
    with pytest.raises(ValueError, match="one width, received 2 and 3"):
        frechet_distance((np.zeros(2), np.eye(2)), (np.zeros(3), np.eye(3)))
    with pytest.raises(ValueError, match="finite"):
        frechet_distance((np.zeros(2), np.eye(2) * np.nan), (np.zeros(2), np.eye(2)))


@pytest.mark.parametrize("cuts", [[], [1], [37], [1, 2, 3, 50], [10, 10, 90]])
def test_moments_are_those_of_numpy_in_any_partition(cuts):
    rows = np.random.default_rng(0).normal(1e3, 1.0, size=(100, 4)).astype(np.float32)
    moments = Moments()
    for part in np.split(rows, cuts):
        moments.update(part)
    assert moments.n == 100
    np.testing.assert_allclose(moments.mean, rows.astype(np.float64).mean(0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)


def test_moments_refuse_bad_rows():
    moments = Moments()
    moments.update(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"\(B, 3\), received \(1, 2\)"):
        moments.update(np.ones((1, 2)))
    with pytest.raises(ValueError, match="finite"):
        moments.update(np.full((1, 3), np.inf))
    with pytest.raises(ValueError, match="at least 2 rows"):
        _ = moments.covariance


def brute_mmd(real, fake):
    def mean(x, y, same):
        values = [(a @ b / len(a) + 1) ** 3 for i, a in enumerate(x) for j, b in enumerate(y) if not (same and i == j)]
        return sum(values) / len(values)
    return mean(real, real, True) + mean(fake, fake, True) - 2 * mean(real, fake, False)


def test_kernel_distance_is_the_mean_of_unbiased_estimates_of_blocks():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(25, 3)), rng.normal(0.5, 1.0, size=(27, 3))
    estimates = [brute_mmd(real[i:i + 10], fake[i:i + 10]) for i in (0, 10)] + [brute_mmd(real[20:25], fake[20:25])]
    expected = np.average(estimates, weights=[10, 10, 5])
    kernel = KernelDistance(block=10)
    kernel.update(real[:3], fake[:20])
    kernel.update(real[3:], fake[20:])
    value, error = kernel.result()
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    assert kernel.result() == (value, error) and error > 0
    even = KernelDistance(block=10)
    even.update(real[:20], fake[:20])
    np.testing.assert_allclose(even.result()[1], np.std(estimates[:2], ddof=1) / math.sqrt(2), rtol=1e-10)


def test_kernel_distance_of_one_distribution_is_zero_within_its_error():
    rng = np.random.default_rng(3)
    kernel = KernelDistance(block=100)
    for _ in range(40):
        kernel.update(*rng.normal(size=(2, 100, 4)))
    value, error = kernel.result()
    assert abs(value) < 3 * error
    kernel.update(rng.normal(size=(100, 4)), rng.normal(1.0, 1.0, size=(100, 4)))
    assert kernel.result()[0] > value


def test_the_error_of_a_kernel_distance_is_the_deviation_of_its_mean():
    """A last block of few rows, whose estimate varies as 1 / rows, made it seven times as large."""
    rng, found = np.random.default_rng(7), []
    for _ in range(60):
        kernel = KernelDistance(block=50)
        kernel.update(*rng.normal(size=(2, 202, 8)))
        found.append(kernel.result())
    values, errors = np.array(found).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.5)


def test_kernel_distance_of_pairs_is_zero_on_average_where_both_sides_have_one_distribution():
    """An image and its translation depend on each other: what they share in one block is no distance."""
    rng, found = np.random.default_rng(5), {True: [], False: []}
    for _ in range(300):
        real = rng.normal(size=(20, 3))
        fake = 0.9 * real + math.sqrt(1 - 0.9**2) * rng.normal(size=(20, 3))
        for paired, values in found.items():
            kernel = KernelDistance(block=20, paired=paired)
            kernel.update(real, fake)
            values.append(kernel.result()[0])
    mean, error = (lambda x: (np.mean(x), np.std(x, ddof=1) / math.sqrt(len(x))))(found[True])
    assert abs(mean) < 3 * error
    assert np.mean(found[False]) < -20 * error


def test_kernel_distance_of_one_block_has_no_error_and_of_one_row_no_value():
    kernel = KernelDistance()
    kernel.update(np.zeros((1, 2)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="at least 2 rows of each side, received 1"):
        kernel.result()
    kernel.update(np.zeros((1, 2)), np.zeros((0, 2)))
    value, error = kernel.result()
    assert value == 0.0 and math.isnan(error)
    with pytest.raises(ValueError, match="block"):
        KernelDistance(block=1)

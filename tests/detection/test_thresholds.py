import re

import numpy as np
import pytest
import tensorflow as tf

from tfgen.detection import thresholds
from tfgen.errors import UserError


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


@pytest.mark.parametrize("fpr, k", [(0.1, 1), (0.19, 1), (0.2, 2), (0.5, 5), (0.99, 9)])
def test_threshold_by_hand(fpr, k):
    scores = np.array([3, 9, 1, 7, 5, 2, 8, 4, 6], np.float32)  # n + 1 = 10
    assert thresholds.threshold(scores, fpr) == 10 - k
    assert scores[0] == 3, "left as it was"


def test_what_exceeds_a_threshold():
    """A score of NaN, which says nothing of its input, does; none but that exceeds infinity."""
    scores = np.array([0.5, 1.0, 1.5, np.inf, np.nan])
    assert thresholds.exceeds(scores, 1.0).tolist() == [False, False, True, True, True]
    assert thresholds.exceeds(tf.constant(scores), np.inf).numpy().tolist() == [False, False, False, False, True]


def test_products_that_floating_point_rounds():
    # 0.29 * 100 = 28.999999999999996
    assert thresholds.threshold(np.arange(1, 100), 0.29) == 100 - 29
    assert thresholds.threshold(np.arange(1, 100), np.float32(0.29)) == 100 - 29
    assert thresholds.threshold(np.arange(1, 100), 1e-2) == 99


@pytest.mark.rotating
@pytest.mark.parametrize("n, fpr", [(19, 0.05), (50, 0.05), (99, 0.1), (101, 0.333)])
@pytest.mark.parametrize("ties", [False, True])
def test_false_positive_rate_is_held(n, fpr, ties):
    generator = np.random.default_rng(n)
    repeats, fresh = 20_000, 20
    draw = (lambda *shape: generator.geometric(0.3, shape).astype(float)) if ties else generator.standard_normal
    rates = []
    for _ in range(repeats):
        scores = draw(n)
        limit = thresholds.threshold(scores, fpr)
        assert np.mean(scores > limit) <= fpr
        rates.append(np.mean(draw(fresh) > limit))
    error = np.std(rates) / np.sqrt(repeats)
    exact = np.floor(round(fpr * (n + 1), 9)) / (n + 1)
    assert np.mean(rates) <= fpr + 3 * error
    assert np.mean(rates) < exact - 3 * error if ties else abs(np.mean(rates) - exact) <= 3 * error


@pytest.mark.parametrize("n, fpr, message", [
    (50, 0.001, "fpr=0.001 needs at least 999 held-out normal images, there are 50: ask for 0.02 or more"),
    (1, 0.3, "fpr=0.3 needs at least 3 held-out normal images, there is 1: ask for 0.5 or more"),
    (18, 0.05, "fpr=0.05 needs at least 19 held-out normal images, there are 18: ask for 0.053 or more"),
    (10_000, 1e-5, "fpr=1e-05 needs at least 99999 held-out normal images, there are 10000: ask for 0.0001 or more")])
def test_too_few_images(n, fpr, message):
    scores = np.random.default_rng(0).random(n)
    with pytest.raises(UserError, match=re.escape(message)):
        thresholds.threshold(scores, fpr)
    thresholds.threshold(scores, float(message.split("ask for ")[1].split()[0]))
    assert thresholds.threshold(np.arange(int(message.split("least ")[1].split()[0])), fpr) > 0


@pytest.mark.parametrize("scores, fpr, match", [
    ([], 0.1, "n >= 1"), ([0.1, np.nan], 0.5, "NaN"), ([0.1, np.inf], 0.5, "infinity"), ([[0.1, 0.2]], 0.5, "finite scores"),
    (["a"], 0.5, "finite scores"), ([0.1], 0, "(0, 1)"), ([0.1], 1, "(0, 1)"), ([0.1], -0.1, "(0, 1)"),
    ([0.1], np.nan, "(0, 1)")])
def test_what_is_refused(scores, fpr, match):
    with pytest.raises(UserError, match=re.escape(match)) as error:
        thresholds.threshold(scores, fpr)
    assert "\n" not in str(error.value)


def test_rank_is_the_conformal_one():
    """The k-th largest of n is the n + 1 - k-th smallest, ceil((n + 1) (1 - P))."""
    assert thresholds.rank(48, 0.05) == 2 and 48 + 1 - 2 == np.ceil(49 * 0.95) == 47
    assert thresholds.rank(36, 0.05) == 1 and 36 + 1 - 1 == np.ceil(37 * 0.95) == 36


def test_observed_rates_by_hand():
    """Of one held-out and two new scores each order is as likely: 0, 1 or 2 of the new are above, with 1/3 each."""
    assert thresholds.observed(1, 2, 0.5, level=0.3) == (0.5, 0.5, 0.5)
    assert thresholds.observed(1, 2, 0.5, level=0.4) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize("n, m, fpr", [(48, 48, 0.05), (36, 48, 0.05), (20, 7, 0.25)])
def test_observed_rates_are_those_of_cells_assigned_at_random(n, m, fpr):
    """Scores that depend on each other, divided at random: quantiles of the number above the threshold."""
    generator, k = np.random.default_rng(0), thresholds.rank(n, fpr)
    scores = np.cumsum(np.random.default_rng(1).standard_normal(n + m))
    divided = generator.permuted(np.tile(scores, (20_000, 1)), axis=1)
    limits = np.sort(divided[:, :n], axis=1)[:, n - k]
    assert limits[0] == thresholds.threshold(divided[0, :n], fpr)
    rates = np.mean(divided[:, n:] > limits[:, None], axis=1)
    mean, low, high = thresholds.observed(n, m, fpr)
    assert mean == k / (n + 1) and abs(np.mean(rates) - mean) < 4 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates < low) < 0.028 and np.mean(rates > high) < 0.028
    # The nearest that leave out no more.
    assert np.mean(rates <= low) > 0.022 and np.mean(rates >= high) > 0.022

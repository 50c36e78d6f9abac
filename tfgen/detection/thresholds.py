"""Calibration: the anomaly threshold from scores of held-out normal images."""

import math
from fractions import Fraction

import numpy as np

from tfgen.errors import UserError


def exceeds(scores, threshold):
    """Where scores, a NumPy or TensorFlow array, exceed the threshold; a score of NaN does."""
    return ~(scores <= threshold)


def threshold(scores, fpr):
    """Split-conformal threshold with an expected false positive rate of at most `fpr`.

    The k-th largest of the n scores, k = floor(fpr (n + 1)); an image is classified as anomalous if score > threshold
    (Bates et al., 2023, arXiv:2104.08279; Vovk et al., 2005).
    P(score > threshold) <= k / (n + 1) <= fpr by exchangeability, see docs/anomaly.md. The probability is over held-out
    and new images jointly; for one held-out set without ties, the false positive rate is a draw from Beta(k, n + 1 - k).

    Args:
        scores: (n,), anomaly scores of normal images that were not used for training; higher is more anomalous.
        fpr: false positive rate, in (0, 1), interpreted as the printed decimal number.

    Returns:
        A float, one of the scores.

    Raises:
        UserError: no scores, non-finite scores, fpr out of range, or fpr < 1 / (n + 1).
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or not scores.size or not np.issubdtype(scores.dtype, np.number) or not np.all(np.isfinite(scores)):
        raise UserError(f"a threshold expects finite scores (n,), n >= 1, received {scores.dtype} {scores.shape}, or NaN or "
                        "infinity among them: check the model and the held-out normal images")
    n = len(scores)
    k = rank(n, fpr)
    return float(np.partition(scores, n - k)[n - k])


def rank(n, fpr):
    """k of the k-th largest of n scores that `threshold` returns, floor(fpr (n + 1)).

    Raises:
        UserError: fpr out of range, or fpr < 1 / (n + 1).
    """
    if not 0 < fpr < 1:
        raise UserError(f"fpr expects a number in (0, 1), received {fpr}: give a share such as 0.05")
    # Exact, as 0.29 * 100 < 29 in floating point.
    share = Fraction(str(fpr))
    k = math.floor(share * (n + 1))
    if k < 1:
        unit = 10.0 ** (math.floor(-math.log10(n + 1)) - 1)
        raise UserError(f"fpr={fpr} needs at least {math.ceil(1 / share) - 1} held-out normal images, there "
                        f"{'is' if n == 1 else 'are'} {n}: ask for {math.ceil(1 / (n + 1) / unit) * unit:.2g} or more")
    return k


def observed(held_out, normal, fpr, level=0.95):
    """What rate of false positives to expect of new normal images, given the numbers of images, before any is seen.

    With the threshold at the k-th largest of n held-out scores, and all scores exchangeable and without ties, the number of
    m new ones above it is beta-binomial, K ~ BetaBinomial(m; k, n + 1 - k): each order of the n + m scores is as likely.

    Args:
        held_out: n, number of scores that `threshold` is given.
        normal: m, number of new normal images.
        fpr: false positive rate that `threshold` is given.
        level: least probability of the interval.

    Returns:
        (mean, low, high) of K / m: k / (n + 1), and the quantiles that leave out at most half of 1 - level each.

    Raises:
        UserError: as `rank`.
    """
    from scipy import stats  # takes a second

    k = rank(held_out, fpr)
    number = stats.betabinom(normal, k, held_out + 1 - k)
    return (k / (held_out + 1), *(float(number.ppf((1 + sign * level) / 2)) / normal for sign in (-1, 1)))

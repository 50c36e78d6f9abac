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
    if not 0 < fpr < 1:
        raise UserError(f"fpr expects a number in (0, 1), received {fpr}: give a share such as 0.05")
    # Exact, as 0.29 * 100 < 29 in floating point.
    share, n = Fraction(str(fpr)), len(scores)
    k = math.floor(share * (n + 1))
    if k < 1:
        unit = 10.0 ** (math.floor(-math.log10(n + 1)) - 1)
        raise UserError(f"fpr={fpr} needs at least {math.ceil(1 / share) - 1} held-out normal images, there "
                        f"{'is' if n == 1 else 'are'} {n}: ask for {math.ceil(1 / (n + 1) / unit) * unit:.2g} or more")
    return float(np.partition(scores, n - k)[n - k])

"""From scores of normal images to the score over which an image is called anomalous."""

import math
from fractions import Fraction

import numpy as np

from tfgen.errors import UserError


def threshold(scores, fpr):
    """Split-conformal threshold: of fresh normal images, a share of at most `fpr` scores over it on average.

    The k-th largest of the n scores, k = floor(fpr (n + 1)); an image is called anomalous where score > threshold
    (Bates et al., 2023, arXiv:2104.08279; Vovk et al., 2005).
    Proof: a fresh score over it has fewer than k held-out scores at or over itself, as at most k of n + 1 exchangeable
    ones have: probability at most k / (n + 1) <= fpr, equal without ties. Of the n scores, at most k - 1 <= fpr n are over.

    The probability is over held-out and fresh images together; for one held-out set without ties, the false positive rate
    is a draw from Beta(k, n + 1 - k).

    Args:
        scores: (n,), of normal images that the model was not trained on, higher is stranger.
        fpr: false positive rate, in (0, 1), read as the decimal that it prints as.

    Returns:
        A float, one of the scores.

    Raises:
        UserError: no scores, scores that are not finite, fpr out of range, or fpr < 1 / (n + 1).
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

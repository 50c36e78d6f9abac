"""Classifier-based metrics of samples: classifier score and number of modes."""

import math

import numpy as np

from tfgen.errors import UserError
from tfgen.metrics.frechet import check_features


def _checked(probabilities, width):
    probabilities = check_features(probabilities, width, "probabilities").astype(np.float64)
    if np.any(probabilities < 0) or np.any(np.abs(probabilities.sum(axis=1) - 1.0) > 1e-3):
        raise UserError("probabilities expect rows >= 0 that sum to 1, received others: give softmax outputs, not logits")
    return probabilities


def _log(p):
    """log p, replaced by 0 at p = 0, so that p log p is 0 there."""
    return np.log(np.where(p > 0, p, 1.0))


class ClassifierScore:
    """exp(E KL(p(y | x) || p(y))) of a stream (Salimans et al., 2016, arXiv:1606.03498), in one pass over all rows.

    Ranges from 1 (all rows equal) to the number of classes K (every prediction certain, all classes equally frequent).

    Attributes:
        n: number of rows added.
    """

    def __init__(self):
        self.n = 0
        self._marginal = None
        self._negative_entropy = 0.0

    def update(self, probabilities):
        """Adds rows (B, K). Raises UserError on another width or rows that are not probabilities."""
        p = _checked(probabilities, None if self._marginal is None else len(self._marginal))
        self.n += len(p)
        self._marginal = p.sum(axis=0) + (0.0 if self._marginal is None else self._marginal)
        self._negative_entropy += float(np.sum(p * _log(p)))

    def result(self):
        """The score, in [1, K]. Raises UserError before the first row."""
        if not self.n:
            raise UserError("ClassifierScore expects at least 1 row of probabilities, received none")
        marginal = self._marginal / self.n
        return math.exp(max(self._negative_entropy / self.n - float(marginal @ _log(marginal)), 0.0))


class Modes:
    """Number of classes among the most probable classes of the rows of a stream.

    Args:
        share: minimum fraction of the rows for a class to count as found; None uses 0.1 / K, a tenth of the fraction
            of each of K classes in a balanced set.

    Attributes:
        counts: int64 (K,), number of rows per class; None before the first row.
    """

    def __init__(self, share=None):
        if share is not None and not 0 < share <= 1:
            raise UserError(f"Modes(share) expects None or a number in (0, 1], received {share!r}")
        self.share = share
        self.counts = None

    def update(self, probabilities):
        """Adds rows (B, K). Raises UserError on another width or rows that are not probabilities."""
        p = _checked(probabilities, None if self.counts is None else len(self.counts))
        counts = np.bincount(np.argmax(p, axis=1), minlength=p.shape[1])
        self.counts = counts if self.counts is None else self.counts + counts

    def result(self):
        """{"modes": number of classes found, "modes_entropy": entropy of the class frequencies in nats, in [0, log K]}.

        Raises:
            UserError: before the first row.
        """
        if self.counts is None or not self.counts.sum():
            raise UserError("Modes expects at least 1 row of probabilities, received none")
        shares = self.counts / self.counts.sum()
        least = 0.1 / len(shares) if self.share is None else self.share
        return {"modes": int(np.sum(shares >= least)), "modes_entropy": max(float(-shares @ _log(shares)), 0.0)}


def classifier_score(probabilities):
    """`ClassifierScore` of rows (N, K)."""
    score = ClassifierScore()
    score.update(probabilities)
    return score.result()


def modes(probabilities, share=None):
    """`Modes` of rows (N, K)."""
    found = Modes(share)
    found.update(probabilities)
    return found.result()

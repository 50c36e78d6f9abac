"""Fréchet and kernel distance between two sets of features, computed from streams of batches."""

import math

import numpy as np

from tfgen.errors import UserError


def check_features(features, width=None, what="features"):
    """`features` as an array (B, D). Raises UserError on another rank or width, or non-finite values."""
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] < 1 or (width is not None and features.shape[1] != width):
        raise UserError(f"{what} expect shape (B, {width or 'D'}), received {features.shape}: "
                         f"give one row per image, from one extractor")
    if not np.all(np.isfinite(features)):
        raise UserError(f"{what} expect finite numbers, received NaN or infinity: check the images they come from")
    return features


class Moments:
    """Mean and covariance of a stream, by the pairwise update of Chan et al. (1979), in float64.

    A batch with its own mean m_b and scatter S_b joins n rows with mean m and scatter S as
    S + S_b + n b / (n + b) (m_b - m)(m_b - m)^T, so any partition into batches gives the same result.

    Attributes:
        n: number of rows added.
        mean: float64 (D,), None before the first row.
    """

    def __init__(self):
        self.n = 0
        self.mean = None
        self._scatter = None

    def update(self, features):
        """Adds features (B, D). Raises UserError on another width or non-finite values."""
        features = check_features(features, None if self.mean is None else len(self.mean)).astype(np.float64)
        count = len(features)
        if not count:
            return
        mean = features.mean(axis=0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.mean is None:
            self.n, self.mean, self._scatter = count, mean, scatter
            return
        shift, total = mean - self.mean, self.n + count
        self._scatter += scatter + np.outer(shift, shift) * (self.n * count / total)
        self.mean = self.mean + shift * (count / total)
        self.n = total

    @property
    def covariance(self):
        """Unbiased (n - 1) covariance, float64 (D, D). Raises UserError before the second row."""
        if self.n < 2:
            raise UserError(f"a covariance expects at least 2 rows of features, received {self.n}: give more images")
        return self._scatter / (self.n - 1)


def _mean_and_covariance(moments):
    mean, covariance = (moments.mean, moments.covariance) if isinstance(moments, Moments) else moments
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise UserError(f"frechet_distance expects a mean (D,) and a covariance (D, D), "
                         f"received {mean.shape} and {covariance.shape}")
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(covariance))):
        raise UserError("frechet_distance expects finite moments, received NaN or infinity: check the features")
    return mean, covariance


def _square_root(covariance):
    """Symmetric square root of a positive semi-definite matrix; negative eigenvalues (rounding errors) count as 0."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def frechet_distance(a, b):
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians (Heusel et al., 2017, arXiv:1706.08500), >= 0.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^{1/2}). The trace of the root is the sum of the roots of the eigenvalues of
    C1^{1/2} C2 C1^{1/2}, computed as singular values of C1^{1/2} C2^{1/2}: also exact for singular covariances.

    Args:
        a, b: `Moments`, or pairs (mean (D,), covariance (D, D)).

    Raises:
        UserError: fewer than 2 rows, different widths or non-finite values.
    """
    (mean_a, cov_a), (mean_b, cov_b) = _mean_and_covariance(a), _mean_and_covariance(b)
    if mean_a.shape != mean_b.shape:
        raise UserError(f"frechet_distance expects moments of one width, received {len(mean_a)} and {len(mean_b)}: "
                         f"use one extractor for both sides")
    root = np.linalg.svd(_square_root(cov_a) @ _square_root(cov_b), compute_uv=False).sum()
    distance = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * root
    return max(float(distance), 0.0)


class KernelDistance:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Bińkowski et al., 2018, arXiv:1801.01401).

    Each block of `block` rows per side gives the unbiased estimate
    mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j);
    the result is their mean, weighted by the number of rows. Rows should be in random order.

    Args:
        block: rows per side and block, >= 2. A last block of at least half as many also counts: estimates of shorter ones
            vary too much. The only block has at least 2 rows.
        paired: whether row i of one side depends on row i of the other, as for images and their translations. The last
            mean then omits i = j, which would bias it.
    """

    def __init__(self, block=1000, paired=False):
        if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 2:
            raise UserError(f"KernelDistance(block) expects an int >= 2, received {block!r}")
        self.block = int(block)
        self.paired = paired
        self._pending = None
        self._estimates = []

    def update(self, real, fake):
        """Adds features (B, D) of each side; memory stays constant if both sides advance together.

        Raises:
            UserError: for another width or non-finite values.
        """
        width = None if self._pending is None else self._pending[0].shape[1]
        real = check_features(real, width, "real features").astype(np.float64)
        fake = check_features(fake, real.shape[1], "fake features").astype(np.float64)
        pending = self._pending or (real[:0], fake[:0])
        self._pending = tuple(np.concatenate(rows) for rows in zip(pending, (real, fake)))
        while min(map(len, self._pending)) >= self.block:
            self._estimates.append((self.block, self._estimate(self.block)))
            self._pending = tuple(rows[self.block:].copy() for rows in self._pending)

    def _estimate(self, count):
        """Estimate from the first `count` pending rows."""
        return unbiased_mmd(*(rows[:count] for rows in self._pending), self.paired)

    def result(self):
        """(mean, standard error) of the squared distance; the unbiased mean may be negative, the error is NaN for one block.

        Raises:
            UserError: fewer than 2 rows per side.
        """
        rest = 0 if self._pending is None else min(map(len, self._pending))
        estimates = list(self._estimates)
        if rest >= (max(2, self.block / 2) if estimates else 2):
            estimates.append((rest, self._estimate(rest)))
        if not estimates:
            raise UserError(f"KernelDistance expects at least 2 rows of each side, received {rest}: give more images")
        weights, values = np.array(estimates).T
        weights = weights / weights.sum()
        mean = float(weights @ values)
        if len(values) == 1:
            return mean, math.nan
        return mean, math.sqrt(weights @ (values - mean) ** 2 / (len(values) - 1))


def unbiased_mmd(real, fake, paired=False):
    """Estimate of `KernelDistance` for one block: real (M, D) and fake (N, D) float64, M and N >= 2, M = N if paired."""
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    def off_diagonal(matrix):
        return (matrix.sum() - np.trace(matrix)) / (len(matrix) * (len(matrix) - 1))

    cross = kernel(real, fake)
    cross = off_diagonal(cross) if paired else cross.mean()
    return float(off_diagonal(kernel(real, real)) + off_diagonal(kernel(fake, fake)) - 2.0 * cross)

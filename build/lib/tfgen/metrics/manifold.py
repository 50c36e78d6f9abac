"""Fidelity and coverage of samples from k-nearest-neighbour balls in feature space."""

import numpy as np

from tfgen.errors import UserError
from tfgen.metrics.frechet import check_features

# Rows of a distance matrix computed at once.
_BLOCK = 512


def _checked(real, fake, k):
    """Both sides as float32, centred on the mean of `real` to avoid cancellation in distances."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise UserError(f"k expects an int >= 1, received {k!r}")
    real = check_features(real, what="real features").astype(np.float64)
    fake = check_features(fake, real.shape[1], "fake features").astype(np.float64)
    if min(len(real), len(fake)) <= k:
        raise UserError(f"{k} nearest neighbours expect at least {k + 1} rows of each side, "
                         f"received {len(real)} real and {len(fake)} fake: give more images or a smaller k")
    centre = real.mean(axis=0)
    return (real - centre).astype(np.float32), (fake - centre).astype(np.float32)


def _distances(x, y):
    """Yields (first row, squared distances float32 (b, N)) of blocks of rows of x (M, D) to all of y (N, D)."""
    norms = np.einsum("nd,nd->n", y, y)
    for start in range(0, len(x), _BLOCK):
        rows = x[start:start + _BLOCK]
        squared = np.einsum("nd,nd->n", rows, rows)[:, None] + norms - 2.0 * (rows @ y.T)
        yield start, np.maximum(squared, 0.0)


def _radii(x, k):
    """Squared distance of each row to its k-th nearest other row, float32 (N,)."""
    parts = []
    for start, squared in _distances(x, x):
        rows = np.arange(len(squared))
        squared[rows, start + rows] = np.inf
        parts.append(np.partition(squared, k - 1, axis=1)[:, k - 1])
    return np.concatenate(parts)


def _share_inside(points, centres, radii):
    """Fraction of the points inside at least one ball."""
    return float(np.mean(np.concatenate([np.any(squared <= radii, axis=1)
                                         for _, squared in _distances(points, centres)])))


def precision_recall(real, fake, k=3):
    """Improved precision and recall (Kynkäänniemi et al., 2019, arXiv:1904.06991).

    The manifold of a side is the union of closed balls around its rows, with the distance to the k-th nearest other row
    as radius. Precision is the fraction of fake rows in the real manifold, recall that of real rows in the fake one.

    Args:
        real, fake: features (N, D) and (M, D).
        k: number of neighbours.

    Returns:
        {"precision", "recall"}, in [0, 1].

    Raises:
        UserError: k or fewer rows, different widths or non-finite values.
    """
    real, fake = _checked(real, fake, k)
    return {"precision": _share_inside(fake, real, _radii(real, k)),
            "recall": _share_inside(real, fake, _radii(fake, k))}


def density_coverage(real, fake, k=5):
    """Density and coverage (Naeem et al., 2020, arXiv:2002.09797).

    Open balls around the real rows have the distance to the k-th nearest other real row as radius. Density is the mean
    number of balls that contain a fake row, divided by k; coverage is the fraction of balls that contain a fake row.

    Args:
        real, fake: features (N, D) and (M, D).
        k: number of neighbours.

    Returns:
        {"density", "coverage"}: density >= 0 and may exceed 1, coverage in [0, 1].

    Raises:
        UserError: k or fewer rows, different widths or non-finite values.
    """
    real, fake = _checked(real, fake, k)
    radii = _radii(real, k)
    inside, covered = 0, np.zeros(len(real), bool)
    for _, squared in _distances(fake, real):
        hits = squared < radii
        inside += int(hits.sum())
        covered |= hits.any(axis=0)
    return {"density": inside / (k * len(fake)), "coverage": float(covered.mean())}

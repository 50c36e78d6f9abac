"""Densities in the plane in closed form: what a density model learns can be compared with the truth, in nats."""

import numpy as np
import scipy.special
import tensorflow as tf

from tfgen import noise
from tfgen.data.streams import untuned
from tfgen.errors import UserError

ROWS = 2**40  # points per seed


def checked(seed):
    """The seed; raises a UserError unless it is a whole number in [0, 2^22)."""
    if not 0 <= seed < 2**22 or int(seed) != seed:
        raise UserError(f"seed expects a whole number in [0, {2**22}), received {seed}; choose a smaller one")
    return int(seed)


class PlanarDensity:
    """A density in the plane: points of a seed's sequence, exact log-probabilities, the entropy.

    A subclass writes `rows` and `log_prob`, and `reach`, a bound on the coordinates beyond which its mass is negligible.
    """

    reach = 4.0

    def rows(self, first, count, seed):
        """Points first … first + count - 1 of a seed's sequence: float32 tensor (count, 2)."""
        raise NotImplementedError(f"{type(self).__name__} must define rows(first, count, seed)")

    def log_prob(self, points):
        """log p in nats: (N, 2) -> float64 (N,)."""
        raise NotImplementedError(f"{type(self).__name__} must define log_prob(points)")

    def entropy(self, side=600):
        """-E[log p] in nats, by the midpoint rule on side x side cells within `reach`."""
        centres = self.reach * ((2 * np.arange(side) + 1) / side - 1)
        log_p = self.log_prob(np.stack(np.meshgrid(centres, centres, indexing="ij"), -1).reshape(-1, 2))
        return float(-np.sum(scipy.special.xlogy(np.exp(log_p), np.exp(log_p))) * (2 * self.reach / side) ** 2)

    def draw(self, n, seed=0):
        """The first n points of a seed.

        Args:
            n: number of points, >= 1.
            seed: whole number in [0, 2^22).

        Returns:
            float32 (n, 2).

        Raises:
            UserError: for another seed.
        """
        return self.rows(tf.constant(0, tf.int64), n, checked(seed)).numpy()

    def stream(self, batch_size, seed=0, chunk=64):
        """Infinite stream of batches of a seed's points: batch k is a pure function of (seed, k).

        Args:
            batch_size: points per batch.
            seed: as for `draw`, which gives the same points.
            chunk: number of batches computed at once, for speed; does not change the values.

        Returns:
            A `tf.data.Dataset` of float32 (batch_size, 2).
        """
        seed, many = checked(seed), batch_size * chunk
        made = tf.data.Dataset.range(ROWS // many).map(
            lambda k: tf.reshape(self.rows(k * many, many, seed), (chunk, batch_size, 2)))
        return untuned(made.unbatch().prefetch(2))


def seeds_of_rows(first, count, seed):
    """One noise seed per point of a seed's sequence: int64 (count,)."""
    return tf.range(count, dtype=tf.int64) + first + seed * ROWS


def choice(seeds, count):
    """A component 0 … count - 1 per seed, all equally likely: int32 (B,)."""
    return tf.cast(noise.uniform(seeds, (1,), noise.CODES)[:, 0] * count, tf.int32)


class Moons(PlanarDensity):
    """Two interleaved half circles of radius 1 with Gaussian noise around a uniformly drawn angle, centred on 0.

    The upper arc is (cos t - 1/2, sin t - 1/4), the lower one (1/2 - cos t, 1/4 - sin t), t uniform in (0, pi). p is the
    average over t of the noise's density, by Gauss-Legendre quadrature with 8 / sigma nodes per arc, to 1e-9 of its peak.

    Args:
        sigma: standard deviation of the noise per coordinate, > 0.
    """

    def __init__(self, sigma=0.1):
        self.sigma = float(sigma)
        self.reach = 1.5 + 8 * self.sigma

    def rows(self, first, count, seed):
        seeds = seeds_of_rows(first, count, seed)
        angle = np.float32(np.pi) * noise.uniform(seeds, (1,), noise.STYLES)[:, 0]
        sign = 1.0 - 2.0 * tf.cast(choice(seeds, 2), tf.float32)
        arc = tf.stack([tf.cos(angle) - 0.5, tf.sin(angle) - 0.25], 1)
        return sign[:, None] * arc + self.sigma * noise.normal(seeds, (2,), noise.LATENT)

    def log_prob(self, points):
        nodes, weights = np.polynomial.legendre.leggauss(max(20, int(8 / self.sigma)))
        angle = np.pi * (nodes + 1) / 2
        arc = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)
        return mixture_log_prob(points, np.concatenate([arc, -arc]), self.sigma, np.tile(weights, 2) / 4)


class Rings(PlanarDensity):
    """Concentric circles, equally likely, with isotropic Gaussian noise around a uniform angle.

    p(x) is the mean over radii R of exp(-(r - R)^2 / (2 sigma^2)) I0e(r R / sigma^2) / (2 pi sigma^2), r = |x| and I0e the
    exponentially scaled Bessel function.

    Args:
        radii: of the circles, each >= 0.
        sigma: standard deviation of the noise per coordinate, > 0.
    """

    def __init__(self, radii=(1.0, 2.0), sigma=0.15):
        self.radii = np.asarray(radii, np.float32)
        self.sigma = float(sigma)
        self.reach = float(self.radii.max() + 8 * sigma)

    def rows(self, first, count, seed):
        seeds = seeds_of_rows(first, count, seed)
        angle = np.float32(2 * np.pi) * noise.uniform(seeds, (1,), noise.STYLES)[:, 0]
        radius = tf.gather(self.radii, choice(seeds, len(self.radii)))
        circle = radius[:, None] * tf.stack([tf.cos(angle), tf.sin(angle)], 1)
        return circle + self.sigma * noise.normal(seeds, (2,), noise.LATENT)

    def log_prob(self, points):
        r = np.linalg.norm(np.asarray(points, np.float64), axis=1)[:, None]
        radii, variance = self.radii.astype(np.float64), self.sigma**2
        log_p = -np.square(r - radii) / (2 * variance) + np.log(scipy.special.ive(0, r * radii / variance))
        return scipy.special.logsumexp(log_p, axis=1) - np.log(2 * np.pi * variance * len(radii))


class Checkerboard(PlanarDensity):
    """Uniform on the eight dark squares, of side 1, of a 4x4 board on [-2, 2]^2: entropy log 8."""

    reach = 2.0

    def rows(self, first, count, seed):
        seeds = seeds_of_rows(first, count, seed)
        place = choice(seeds, 8)
        row = place // 2
        column = 2 * (place % 2) + row % 2
        return tf.cast(tf.stack([column, row], 1), tf.float32) - 2.0 + noise.uniform(seeds, (2,), noise.STYLES)

    def log_prob(self, points):
        column, row = np.floor(np.asarray(points, np.float64)).T
        inside = (np.abs(column + 0.5) < 2) & (np.abs(row + 0.5) < 2) & ((column + row) % 2 == 0)
        return np.where(inside, -np.log(8.0), -np.inf)


def mixture_log_prob(points, centres, sigma, weights=None, rows=4096):
    """log-density of a mixture of isotropic Gaussians in float64: points (N, 2), centres (K, 2) -> (N,).

    Args:
        weights: (K,), summing to 1; None: all equal.
        rows: points at once.
    """
    points, centres, found = np.asarray(points, np.float64), np.asarray(centres, np.float64), []
    weights = np.full(len(centres), 1.0 / len(centres)) if weights is None else weights
    for start in range(0, len(points), rows):
        part = points[start:start + rows]
        squared = np.square(part).sum(1)[:, None] - 2 * part @ centres.T + np.square(centres).sum(1)
        found.append(scipy.special.logsumexp(-squared / (2 * sigma**2), axis=1, b=weights))
    return np.concatenate(found) - np.log(2 * np.pi * sigma**2)

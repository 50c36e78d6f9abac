"""Problems whose truth is known: mixtures in the plane, whose modes can be counted, and slanted faces of four pixels."""

import numpy as np
import tensorflow as tf

from tfgen import noise
from tfgen.errors import UserError

ROWS = 2**40  # of one seed, before the next seed's begin


class Mixture:
    """K round Gaussians of one width and equal weight in the plane.

    Args:
        centres: float (K, 2).
        sigma: standard deviation of each coordinate around its centre, > 0.

    Raises:
        UserError: for another shape of centres or sigma <= 0.
    """

    def __init__(self, centres, sigma):
        self.centres = np.asarray(centres, np.float32)
        if self.centres.ndim != 2 or self.centres.shape[1] != 2 or not len(self.centres):
            raise UserError(f"Mixture expects centres (K, 2) with K > 0, received shape {self.centres.shape}; "
                            "give one row a mode")
        if not sigma > 0:
            raise UserError(f"Mixture expects sigma > 0, received {sigma}; give the modes' standard deviation")
        self.sigma = float(sigma)

    @property
    def scale(self):
        """The standard deviation of one coordinate over the whole mixture, mean of both: what networks divide by."""
        return float(np.sqrt(np.mean(self.centres.var(0)) + self.sigma**2))

    def rows(self, first, count, seed):
        """Points first … first + count of the endless row of points of a seed: float32 tensor (count, 2)."""
        seeds = tf.range(count, dtype=tf.int64) + first + seed * ROWS
        chosen = tf.cast(noise.uniform(seeds, (1,), noise.CODES)[:, 0] * len(self.centres), tf.int32)
        return tf.gather(self.centres, chosen) + self.sigma * noise.normal(seeds, (2,), noise.LATENT)

    def draw(self, n, seed=0):
        """The first n points of a seed.

        Args:
            n: points, >= 1.
            seed: whole number in [0, 2^22).

        Returns:
            float32 (n, 2).

        Raises:
            UserError: for another seed.
        """
        return self.rows(tf.constant(0, tf.int64), n, checked(seed)).numpy()

    def stream(self, batch_size, seed=0, chunk=64):
        """The points of a seed in batches, without end: batch k is a pure function of (seed, k).

        Args:
            batch_size: points a batch.
            seed: as for `draw`, whose points these are.
            chunk: batches made in one go, for speed; changes no value.

        Returns:
            A `tf.data.Dataset` of float32 (batch_size, 2).
        """
        seed, many = checked(seed), batch_size * chunk
        made = tf.data.Dataset.range(ROWS // many).map(
            lambda k: tf.reshape(self.rows(k * many, many, seed), (chunk, batch_size, 2)))
        return made.unbatch().prefetch(2)

    def coverage(self, points, radius=3.0, share=0.0):
        """Which modes made points reach (Srivastava et al., 2017, arXiv:1705.07761, section 4.1).

        A point is of high quality if it lies within `radius` sigma of its nearest centre. As there, and in PacGAN
        (Lin et al., 2018), a mode is found if it is the nearest of at least one point of high quality; both count
        on 2500 points. `share` asks for more.

        Args:
            points: (N, 2); a point that is not finite is of low quality.
            radius: in units of sigma; the mixture itself has 1 - exp(-radius^2 / 2), 98.9 % for 3, within it.
            share: a mode is found if it has at least this share of the points of high quality, and at least one.

        Returns:
            {"modes": number found, "high_quality": share of all points, "counts": int (K,), high-quality points of
            each mode}.

        Raises:
            UserError: for another shape of points or none.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise UserError(f"coverage expects points (N, 2) with N > 0, received shape {points.shape}; "
                            "give one row a point")
        points = np.where(np.isfinite(points).all(1, keepdims=True), points, np.inf)
        distances = np.linalg.norm(points[:, None] - self.centres[None].astype(np.float64), axis=-1)
        good = distances.min(1) <= radius * self.sigma
        counts = np.bincount(distances.argmin(1)[good], minlength=len(self.centres))
        return {"modes": int(np.sum(counts >= max(1.0, share * counts.sum()))), "high_quality": float(good.mean()),
                "counts": counts}


def checked(seed):
    """The seed, if it is a whole number in [0, 2^22)."""
    if not 0 <= seed < 2**22 or int(seed) != seed:
        raise UserError(f"seed expects a whole number in [0, {2**22}), received {seed}; choose a smaller one")
    return int(seed)


def ring(modes=8, radius=1.0, sigma=0.01):
    """Modes on a circle: eight of sigma 0.01 on the unit circle (PacGAN: Lin et al., 2018, arXiv:1712.04086, section 4.1).

    Metz et al. (2017, arXiv:1611.02163, appendix A) take radius 2 and sigma 0.02: the same picture, twice as large.
    """
    angles = 2.0 * np.pi * np.arange(modes) / modes
    return Mixture(radius * np.stack([np.cos(angles), np.sin(angles)], 1), sigma)


def grid(side=5, spacing=2.0, sigma=0.05):
    """Modes on a square grid around 0: 25 of sigma 0.05, at -4, -2 … 4 (Srivastava et al., 2017; Lin et al., 2018)."""
    places = spacing * (np.arange(side) - 0.5 * (side - 1))
    return Mixture(np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 2), sigma)


def slanted_faces(n, seed=0, noise_width=0.25):
    """Faces of two by two pixels: bright main diagonal, dark elsewhere (Serrano, 2020, "GANs in slanted land").

    Each pixel is off by its own uniform noise in [0, noise_width], inwards, so that all lie in [0, 1].

    Args:
        n: faces.
        seed: whole number in [0, 2^22).
        noise_width: largest error of a pixel, in [0, 1].

    Returns:
        float32 (n, 2, 2, 1).
    """
    off = noise.uniform(checked(seed) * ROWS + tf.range(n, dtype=tf.int64), (2, 2, 1), noise.CORRUPTION).numpy()
    return np.abs(np.eye(2, dtype=np.float32)[None, :, :, None] - np.float32(noise_width) * off)


def minmax_paths(steps=100, rate=0.2):
    """Five ways to play min_x max_y x y, whose equilibrium is (0, 0), by gradients from (1, 1).

    Simultaneous steps grow by sqrt(1 + rate^2) each and never meet it; alternating ones circle around it. It is met by
    their running average, by extragradient (Korpelevich, 1976) and by optimistic steps (Daskalakis et al., 2018), for
    rate < 1/2 (Mescheder et al., 2018, and Gidel et al., 2019, say what this means for GANs).

    Args:
        steps: of each way.
        rate: of both players, > 0.

    Returns:
        {name of the way, of two lines: float64 (steps + 1, 2)}.
    """
    def slope(p):
        return np.array([-p[1], p[0]])  # x descends, y ascends

    def alternating(p, before):
        x = p[0] - rate * p[1]
        return np.array([x, p[1] + rate * x])

    rules = {"simultaneous steps\nspiral out of the picture": lambda p, before: p + rate * slope(p),
             "alternating steps\ncircle for ever": alternating,
             "extragradient\n(look ahead, then step)": lambda p, before: p + rate * slope(p + rate * slope(p)),
             "optimistic steps\n(2 x this - last gradient)": lambda p, before: p + rate * (2 * slope(p) - slope(before))}
    paths = {name: [np.ones(2)] for name in rules}
    for name, path in paths.items():
        for _ in range(steps):
            path.append(rules[name](path[-1], path[max(0, len(path) - 2)]))
    circle = np.cumsum(paths["alternating steps\ncircle for ever"], 0)
    return paths | {"average of the\nalternating steps": circle / np.arange(1, steps + 2)[:, None]}

"""Toy problems with known solutions: 2-D Gaussian mixtures with countable modes, slanted faces of four pixels, min-max."""

import numpy as np
import tensorflow as tf

from tfgen import noise
from tfgen.errors import UserError
from tfgen.toys.densities import ROWS, PlanarDensity, checked, choice, mixture_log_prob, seeds_of_rows


class ToyMixture(PlanarDensity):
    """Mixture of K isotropic Gaussians in the plane with equal widths and weights.

    Args:
        centres: float (K, 2).
        sigma: standard deviation of each coordinate around its centre, > 0.

    Raises:
        UserError: for another shape of centres or sigma <= 0.
    """

    def __init__(self, centres, sigma):
        self.centres = np.asarray(centres, np.float32)
        if self.centres.ndim != 2 or self.centres.shape[1] != 2 or not len(self.centres):
            raise UserError(f"ToyMixture expects centres (K, 2) with K > 0, received shape {self.centres.shape}; "
                            "give one row per mode")
        if not sigma > 0:
            raise UserError(f"ToyMixture expects sigma > 0, received {sigma}; give the modes' standard deviation")
        self.sigma = float(sigma)

    @property
    def scale(self):
        """Root mean square over both coordinates of the mixture's standard deviation; networks normalise by it."""
        return float(np.sqrt(np.mean(self.centres.var(0)) + self.sigma**2))

    def rows(self, first, count, seed):
        """Points first … first + count - 1 of a seed's sequence: float32 tensor (count, 2)."""
        seeds = seeds_of_rows(first, count, seed)
        centres = tf.gather(self.centres, choice(seeds, len(self.centres)))
        return centres + self.sigma * noise.normal(seeds, (2,), noise.LATENT)

    def log_prob(self, points):
        return mixture_log_prob(points, self.centres, self.sigma)

    @property
    def reach(self):
        return float(np.abs(self.centres).max() + 8 * self.sigma)

    def coverage(self, points, radius=3.0, share=0.0):
        """Mode coverage of generated points (Srivastava et al., 2017, arXiv:1705.07761, section 4.1).

        A point is of high quality if it lies within `radius` sigma of its nearest centre. As there, and in PacGAN
        (Lin et al., 2018), a mode is found if it is nearest to at least one high-quality point; both papers use 2500
        points. `share` sets a stricter criterion.

        Args:
            points: (N, 2); non-finite points are of low quality.
            radius: in units of sigma; a fraction 1 - exp(-radius^2 / 2) of the mixture lies within it, 98.9 % for 3.
            share: minimum fraction of the high-quality points for a mode to be found; always at least one point.

        Returns:
            {"modes": number found, "high_quality": fraction of all points, "counts": int (K,), high-quality points per
            mode}.

        Raises:
            UserError: for another shape of points or none.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise UserError(f"coverage expects points (N, 2) with N > 0, received shape {points.shape}; "
                            "give one row per point")
        points = np.where(np.isfinite(points).all(1, keepdims=True), points, np.inf)
        distances = np.linalg.norm(points[:, None] - self.centres[None].astype(np.float64), axis=-1)
        good = distances.min(1) <= radius * self.sigma
        counts = np.bincount(distances.argmin(1)[good], minlength=len(self.centres))
        return {"modes": int(np.sum(counts >= max(1.0, share * counts.sum()))), "high_quality": float(good.mean()),
                "counts": counts}


def ring(modes=8, radius=1.0, sigma=0.01):
    """Modes on a circle: eight of sigma 0.01 on the unit circle (PacGAN: Lin et al., 2018, arXiv:1712.04086, section 4.1).

    Metz et al. (2017, arXiv:1611.02163, appendix A) use the same mixture at twice the scale: radius 2 and sigma 0.02.
    """
    angles = 2.0 * np.pi * np.arange(modes) / modes
    return ToyMixture(radius * np.stack([np.cos(angles), np.sin(angles)], 1), sigma)


def grid(side=5, spacing=2.0, sigma=0.05):
    """Modes on a square grid around 0: 25 of sigma 0.05, at -4, -2 … 4 (Srivastava et al., 2017; Lin et al., 2018)."""
    places = spacing * (np.arange(side) - 0.5 * (side - 1))
    return ToyMixture(np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 2), sigma)


def slanted_faces(n, seed=0, noise_width=0.25):
    """Faces of 2x2 pixels: bright main diagonal, dark elsewhere (Serrano, 2020, "GANs in slanted land").

    Independent uniform noise in [0, noise_width] darkens bright pixels and brightens dark ones; all stay in [0, 1].

    Args:
        n: number of faces.
        seed: whole number in [0, 2^22).
        noise_width: largest noise per pixel, in [0, 1].

    Returns:
        float32 (n, 2, 2, 1).
    """
    off = noise.uniform(checked(seed) * ROWS + tf.range(n, dtype=tf.int64), (2, 2, 1), noise.CORRUPTION).numpy()
    return np.abs(np.eye(2, dtype=np.float32)[None, :, :, None] - np.float32(noise_width) * off)


def minmax_paths(steps=100, rate=0.2):
    """Trajectories of five gradient methods on min_x max_y x y, with equilibrium (0, 0), from (1, 1).

    Simultaneous updates diverge: the distance grows by sqrt(1 + rate^2) per step. Alternating updates cycle. For
    rate < 1/2 these converge: the running average of alternating updates, extragradient (Korpelevich, 1976) and
    optimistic gradients (Daskalakis et al., 2018). Mescheder et al. (2018) and Gidel et al. (2019) discuss the
    consequences for GANs.

    Args:
        steps: number of steps per method.
        rate: learning rate of both players, > 0.

    Returns:
        {two-line name of the method: positions, float64 (steps + 1, 2)}.
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

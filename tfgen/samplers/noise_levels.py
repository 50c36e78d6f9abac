"""Levels of noise sigma of diffusion models: those that training draws, and those that a sampler visits.

An image x at the level sigma is x_0 + sigma * noise, noise ~ N(0, 1), in the convention of Karras et al. (2022). Levels of
processes that shrink the image, sqrt(a) x_0 + sqrt(1 - a) noise, follow from sigma^2 = (1 - a) / a, those of straight paths,
(1 - t) x_0 + t noise, from sigma = t / (1 - t).
"""

import math

import numpy as np
import tensorflow as tf

from tfgen.errors import require
from tfgen.serialization import serializable


class NoiseLevels:
    """Base class. A subclass defines `sigma` and `drawn`; `fraction` if its last step starts elsewhere.

    Attributes:
        straight: how Heun's rule goes, see `denoising.corrected`.
    """

    straight = True

    def sigma(self, u):
        """Levels float32 of fractions u in [0, 1] of a sampler's way: falling from the largest at 0 to the smallest at 1."""
        raise NotImplementedError(f"{type(self).__name__} must define sigma(u)")

    def drawn(self, u):
        """Levels for training from uniform draws u in [0, 1]; rises with u, finite and above 0."""
        raise NotImplementedError(f"{type(self).__name__} must define drawn(u)")

    def fraction(self, index, steps):
        """Fraction of the way at which step `index` of `steps` starts; the last one goes from the smallest level to 0."""
        return index / tf.maximum(steps - 1.0, 1.0)

    def way(self, steps, start=0.0):
        """The levels that a sampler visits, for each row.

        Args:
            steps: int (B,), number of steps, >= 1.
            start: fraction in [0, 1) of the way at which it starts, a number or (B,).

        Returns:
            Function int index -> float32 (B,): the level before step `index`, 0 after the last step of a row.
        """
        steps = tf.cast(steps, tf.float32)

        def level(index):
            index = tf.cast(index, tf.float32)
            u = start + (1.0 - start) * tf.minimum(self.fraction(index, steps), 1.0)
            return tf.where(index < steps, self.sigma(u), 0.0)

        return level


@serializable
class KarrasLevels(NoiseLevels):
    """Levels of Karras et al. (2022): a sampler's rho-th roots are evenly spaced (equation 5), ln sigma is drawn from
    N(mean, deviation^2) (table 1).

    Args:
        smallest, largest: the sampler's last and first level, for images in [-1, 1].
        rho: > 0; larger: more steps at small levels.
        mean, deviation: of ln sigma in training.
    """

    # Their sampler's algorithm is in sigma.
    straight = False

    def __init__(self, smallest=0.002, largest=80.0, rho=7.0, mean=-1.2, deviation=1.2):
        require(0 < smallest < largest, f"KarrasLevels expects 0 < smallest < largest, received {smallest} and {largest}")
        self.smallest = smallest
        self.largest = largest
        self.rho = rho
        self.mean = mean
        self.deviation = deviation

    def sigma(self, u):
        first, last = self.largest ** (1.0 / self.rho), self.smallest ** (1.0 / self.rho)
        return (first + tf.cast(u, tf.float32) * (last - first)) ** self.rho

    def drawn(self, u):
        # float32 draws round to 0 and 1 now and then, where the quantile is infinite.
        u = tf.clip_by_value(tf.cast(u, tf.float32), 2.0**-24, 1.0 - 2.0**-24)
        return tf.exp(self.mean + self.deviation * tf.math.ndtri(u))


@serializable
class StraightLevels(NoiseLevels):
    """Levels t / (1 - t) of straight paths (1 - t) x_0 + t noise, t uniform in training (Liu et al., 2023; Lipman et al.,
    2023); a sampler's steps in t are equal.

    Args:
        margin: least distance of t from 0 and 1; at t = 1 - margin, an image is noise but for this share.
    """

    def __init__(self, margin=1e-3):
        require(0 < margin < 0.5, f"StraightLevels(margin) expects a value in (0, 0.5), received {margin}")
        self.margin = margin

    def of_time(self, t):
        t = self.margin + (1.0 - 2.0 * self.margin) * tf.cast(t, tf.float32)
        return t / (1.0 - t)

    def sigma(self, u):
        return self.of_time(1.0 - u)

    def drawn(self, u):
        return self.of_time(u)

    def fraction(self, index, steps):
        return index / steps


class DiscreteLevels(NoiseLevels):
    """T levels of a Markov chain with variances beta_1 ... beta_T (Ho et al., 2020): sigma_t^2 = (1 - a_t) / a_t with
    a_t = prod_{s <= t} (1 - beta_s). Training draws each equally often; a sampler's steps are evenly spaced in t, rounded
    to levels that training draws (Nichol & Dhariwal, 2021, section 4).

    A subclass sets `count`, T, and `betas`, float64 (T,).
    """

    @property
    def levels(self):
        """sigma_1 ... sigma_T, float64 (T,)."""
        kept = np.cumprod(1.0 - self.betas)
        return np.sqrt((1.0 - kept) / kept)

    def sigma(self, u):
        return self.at(tf.cast(tf.round((1.0 - tf.cast(u, tf.float32)) * (self.count - 1)), tf.int32))

    def drawn(self, u):
        return self.at(tf.cast(tf.cast(u, tf.float32) * self.count, tf.int32))

    def at(self, index):
        """Levels of int indices, 0 for sigma_1; those outside are held to the ends."""
        return tf.gather(tf.constant(self.levels, tf.float32), tf.clip_by_value(index, 0, self.count - 1))

    def index_of(self, sigma):
        """The index of the level next to each sigma > 0, in the logarithm: int32."""
        levels = self.levels
        # Comparisons: edge runtimes have no binary search.
        below = tf.constant(np.sqrt(levels[1:] * levels[:-1]), tf.float32) < sigma[..., None]
        return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)


@serializable
class LinearBetas(DiscreteLevels):
    """beta from 1e-4 to 0.02 in equal steps, times 1000 / T (Ho et al., 2020, section 4).

    Args:
        count: T, > 20, so that all variances are below 1.
    """

    def __init__(self, count=1000):
        require(count > 20, f"LinearBetas(count) expects more than 20 levels, received {count}")
        self.count = count

    @property
    def betas(self):
        return np.linspace(1e-4, 0.02, self.count) * 1000.0 / self.count


@serializable
class CosineBetas(DiscreteLevels):
    """a_t = f(t) / f(0), f(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2), beta at most 0.999 (Nichol & Dhariwal, 2021,
    equation 17).

    Args:
        count: T, >= 2.
    """

    def __init__(self, count=1000):
        require(count >= 2, f"CosineBetas(count) expects at least 2 levels, received {count}")
        self.count = count

    @property
    def betas(self):
        kept = np.cos((np.arange(self.count + 1) / self.count + 0.008) / 1.008 * math.pi / 2) ** 2
        return np.minimum(1.0 - kept[1:] / kept[:-1], 0.999)

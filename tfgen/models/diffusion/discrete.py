"""Diffusion models of a Markov chain of T levels: the bound on the likelihood, and learned variances."""

import math

import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions import gaussian_kl
from tfgen.distributions.likelihoods import per_image, sum_pixels
from tfgen.errors import require
from tfgen.models.diffusion.denoiser import Diffusion, clean_of
from tfgen.samplers.denoising import Estimate, ancestral_log_variance
from tfgen.samplers.noise_levels import DiscreteLevels
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable(inherit=True)
class DiscreteDiffusion(Diffusion):
    """DDPM (Ho et al., 2020): a `Diffusion` whose levels are those of a chain x_T ... x_0, with a bound on log P(x_0).

    In the convention x_t = x_0 + sigma_t noise, with s = t - 1, r = sigma_s / sigma_t and D = denoise(x_t, sigma_t),

        q(x_s | x_t, x_0) = N(x_0 + r^2 (x_t - x_0), r^2 (sigma_t^2 - sigma_s^2)),
        p(x_s | x_t) = N(D + r^2 (x_t - D), v_t),
        -log P(x_0) <= L_T + sum_{t = 2 ... T} L_{t-1} + L_0,    L_T = KL(N(x_0, sigma_T^2) || N(0, 1 + sigma_T^2)),
        L_{t-1} = E KL(q(x_s | x_t, x_0) || p(x_s | x_t)),    L_0 = -E log of the mass of p(x_0 | x_1) on x_0's grey level,

    of `grey_levels`, whose ends have the tails. v_t lies between q's variance and the chain's, see
    `denoising.ancestral_log_variance`.

    Args:
        network: as for `Diffusion`; with a learned variance it makes 2 C channels, the last C of them 2 mix - 1.
        levels: `tfgen.samplers.noise_levels.DiscreteLevels`.
        mix: the log-variance of all steps, from 0, that of q, to 1, the chain's; None: learned, of each pixel (Nichol &
            Dhariwal, 2021, equation 15). Training then adds `bound_weight` times the bound, whose gradient does not reach D.
        bound_weight: of the bound in bits per value, >= 0 (the authors' lambda, equation 16).
        grey_levels: number n of those that the data have, k / (n - 1) for k = 0 ... n - 1, >= 2.
        others: as for `Diffusion`.

    Also reported, with a learned variance: `bound`, an estimate of the bound from one term, in bits per value.
    """

    def __init__(self, network, levels, parametrisation, mix=1.0, bound_weight=0.001, grey_levels=256, **kwargs):
        require(isinstance(levels, DiscreteLevels),
                f"DiscreteDiffusion expects levels of a chain, such as LinearBetas(), received {type(levels).__name__}")
        require(mix is None or 0 <= mix <= 1, f"mix expects a value in [0, 1], or None to learn it, received {mix}")
        require(grey_levels >= 2, f"grey_levels expects a number of at least 2, received {grey_levels}")
        # Before the checks and trackers that they decide.
        object.__setattr__(self, "loss_names", () if mix is not None else ("bound",))
        object.__setattr__(self, "outputs_per_value", 1 if mix is not None else 2)
        super().__init__(network=network, levels=levels, parametrisation=parametrisation, **kwargs)
        self.mix = mix
        self.bound_weight = bound_weight
        self.grey_levels = grey_levels

    @property
    def bits_offset(self):
        return 0.0

    def read(self, x, sigma, made):
        if self.mix is not None:
            return Estimate(super().read(x, sigma, made).clean, self.mix)
        prediction, mix = ops.split(made, 2, axis=-1)
        return Estimate(super().read(x, sigma, prediction).clean, 0.5 * (mix + 1.0))

    def level_before(self, index):
        """The level before that of index 0 ... T - 1, (B,), and 0 before the first: the end of a step of the chain."""
        return tf.where(index > 0, self.levels.at(index - 1), 0.0)

    def term(self, x, noised, index, estimate):
        """L_{t-1} in nats for t = index + 1, int (B,): (B,)."""
        now, after = (per_image(level) for level in (self.levels.at(index), self.level_before(index)))
        first = per_image(index == 0)
        share = tf.square(after / now)
        mean, ours = (clean + share * (noised - clean) for clean in (x, estimate.clean))
        # The variance of q in the last step would be 0: the authors take that of the step before, of shrunk images.
        second, lowest = (self.levels.at(at) for at in (1, 0))
        floor = ancestral_log_variance(second, lowest, 0.0) - tf.math.log(1.0 + tf.square(lowest))
        least = tf.where(first, floor, ancestral_log_variance(now, after, 0.0))
        log_var = least + estimate.mix * (ancestral_log_variance(now, after, 1.0) - least)
        log_var = log_var if self.mix is None else tf.where(first, floor, log_var)
        kl = sum_pixels(gaussian_kl(mean, least, ours, log_var))
        return tf.where(index == 0, -sum_pixels(log_mass_of_level(x, ours, log_var, self.grey_levels)), kl)

    def last_term(self, x):
        """L_T in nats: (B,)."""
        last = float(self.levels.levels[-1])
        return sum_pixels(gaussian_kl(x, 2.0 * math.log(last), 0.0, math.log(1.0 + last**2)))

    def losses_at(self, x, noised, sigma, made):
        if self.mix is not None:
            return super().losses_at(x, noised, sigma, made)
        prediction, mix = ops.split(made, 2, axis=-1)
        losses = super().losses_at(x, noised, sigma, prediction)
        index = self.levels.index_of(tf.reshape(sigma, (-1,)))
        clean = tf.stop_gradient(self.read(noised, sigma, made).clean)
        term = ops.mean(self.term(x, noised, index, Estimate(clean, 0.5 * (mix + 1.0))))
        bits = self.levels.count * term / (math.prod(self.image_shape) * math.log(2.0))
        return {"loss": losses["loss"] + self.bound_weight * bits, "bound": bits}

    def log_prob(self, x, terms=None, label=None):
        """Lower bound on log P(x) in nats, from `terms` of its T terms.

        The chain is divided into as many parts of equal length, and one term of each, drawn at random, stands for all of
        the part: the mean over draws is the bound, and `terms` = T is the bound but for the noise of each term. All draws
        are functions of the image.

        Args:
            x: images (B, H, W, C) in [0, 1], on `grey_levels`.
            terms: an int or int (B,), 1 ... T; None: 50, or T if that is less.

        Returns:
            float32 (B,).
        """
        seeds, count = noise.seeds_of(x), self.levels.count
        x = clean_of(x)
        terms = tf.broadcast_to(tf.cast(min(50, count) if terms is None else terms, tf.int32), tf.shape(seeds))
        shares = count / tf.cast(terms, tf.float32)

        def add(part, total):
            first = tf.cast(part, tf.float32)
            place = (first + noise.uniform(seeds, (), noise.LEVELS + 256 * (part + 1))) * shares
            # A sum that is rounded up would belong to the next part.
            index = tf.cast(tf.minimum(place, tf.math.ceil((first + 1.0) * shares) - 1.0), tf.int32)
            sigma = per_image(self.levels.at(index))
            noised = x + sigma * noise.normal(seeds, self.image_shape, noise.DIFFUSION + 256 * (part + 1))
            found = self.term(x, noised, index, self.estimate(noised, sigma, label))
            return part + 1, total + tf.where(part < terms, shares * found, 0.0)

        _, total = tf.while_loop(lambda part, _: part < tf.reduce_max(terms), add, (tf.constant(0), self.last_term(x)),
                                 parallel_iterations=1)
        return -total

    def verb_options(self, name):
        if name == "log_prob":
            count = self.levels.count
            return {"terms": Option("int64", min(50, count), 1, count, "terms of the bound that are computed")}
        return super().verb_options(name)


def log_mass_of_level(x, mean, log_var, grey_levels=256):
    """log of N(mean, exp(log_var))'s mass on the grey level of x, of so many in [-1, 1], the ends with the tails.

    Log-masses are held to at least -27.6, as the authors do.
    """
    def below(end):
        """Mass below `end`."""
        return 0.5 * tf.math.erfc(-math.sqrt(0.5) * tf.exp(-0.5 * log_var) * (end - mean))

    # On the side of the mean where masses are small, so that their difference keeps its digits.
    half = 1.0 / (grey_levels - 1)
    first, last = x < half - 1.0, x > 1.0 - half
    side = tf.where(x < mean, 1.0, -1.0)
    x, mean = side * x, side * mean
    mass = tf.where(first | last, 0.0, below(x + half) - below(x - half))
    mass = tf.where(first, tf.where(side > 0, below(x + half), 1.0 - below(x - half)), mass)
    mass = tf.where(last, tf.where(side > 0, 1.0 - below(x - half), below(x + half)), mass)
    return tf.math.log(tf.maximum(mass, 1e-12))

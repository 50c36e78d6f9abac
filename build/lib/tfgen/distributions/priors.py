"""Priors of latents: `draw` in training, `seeded` as a pure function of seeds."""

import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.distributions.divergences import gaussian_log_prob
from tfgen.serialization import serializable
from tfgen.verbs import Option


class Prior:
    """A distribution over latents.

    A prior has `draw(rows, dim, seed_generator)` and `seeded(seeds, dim, **options)`, both giving float32
    (rows, dim), and `options`, the optional inputs of `seeded` as {name: `verbs.Option`}. The prior of a flow also has
    `log_prob(z)`, (B, dim) -> (B,) in nats.
    """

    options = {}


@serializable
class Normal(Prior):
    """Standard normal latents."""

    def __init__(self):
        pass

    def draw(self, rows, dim, seed_generator):
        return replicas.normal((rows, dim), seed_generator)

    def seeded(self, seeds, dim):
        return noise.normal(seeds, (dim,), noise.LATENT)

    def log_prob(self, z):
        return ops.sum(gaussian_log_prob(z), axis=-1)


@serializable
class Logistic(Prior):
    """Standard logistic latents: log p(z) = -sum_i softplus(z_i) + softplus(-z_i) (Dinh et al., 2015, section 3.4)."""

    def __init__(self):
        pass

    def draw(self, rows, dim, seed_generator):
        return logit(replicas.uniform((rows, dim), seed_generator, 1e-7, 1.0 - 1e-7))

    def seeded(self, seeds, dim):
        return logit(noise.uniform(seeds, (dim,), noise.LATENT))

    def log_prob(self, z):
        return -ops.sum(ops.softplus(z) + ops.softplus(-z), axis=-1)


def logit(u):
    """log(u / (1 - u)) of u in (0, 1)."""
    return ops.log(u) - ops.log1p(-u)


@serializable
class Uniform(Prior):
    """Latents uniform in [-1, 1] (Goodfellow et al., 2014; Radford et al., 2016)."""

    def __init__(self):
        pass

    def draw(self, rows, dim, seed_generator):
        return replicas.uniform((rows, dim), seed_generator, -1.0, 1.0)

    def seeded(self, seeds, dim):
        return 2.0 * noise.uniform(seeds, (dim,), noise.LATENT) - 1.0


@serializable
class TruncatedNormal(Normal):
    """Standard normal in training, truncated to |z| <= truncation when sampling (Brock et al., 2019).

    Drawn by the inverse distribution function, so that a latent is a continuous function of the truncation.
    """

    # Beyond six standard deviations float32 noise has no values: no truncation.
    options = {"truncation": Option("float32", 6.0, 0.01, 6.0, "largest |z|; small: typical images, large: varied")}

    def seeded(self, seeds, dim, truncation=6.0):
        bound = tf.broadcast_to(tf.cast(truncation, tf.float32), tf.shape(seeds))[:, None]
        low = noise.normal_tail(bound)
        return tf.clip_by_value(
            noise.normal_quantile(low + noise.uniform(seeds, (dim,), noise.LATENT) * (1.0 - 2.0 * low)), -bound, bound)

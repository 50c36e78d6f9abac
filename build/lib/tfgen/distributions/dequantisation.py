"""Dequantisation: from images on grey levels to a continuous y in (0, 1), and what that costs in nats."""

import math

import keras
from keras import ops

from tfgen import noise, replicas
from tfgen.distributions.bijectors import Bijector, Sigmoid
from tfgen.distributions.bijectors.base import build_once, sum_event
from tfgen.distributions.divergences import gaussian_log_prob
from tfgen.errors import require
from tfgen.serialization import serializable


class Dequantisation(keras.layers.Layer):
    """y = (k + u) / levels, level k of each value and u in (0, 1) from q(u | x).

    A density p(y) defines the probability of an image, P(x) = levels^-D times the integral of p over u in [0, 1]^D, and
    log P(x) >= E_q[log p(y) - log q(u | x)] - D log levels (Theis et al., 2016; Ho et al., 2019).

    Args:
        levels: grey levels per value, >= 2; images have the values k / (levels - 1).

    Raises:
        UserError: for fewer levels.
    """

    def __init__(self, levels=256, **kwargs):
        super().__init__(**kwargs)
        require(levels >= 2, f"{type(self).__name__}(levels) expects at least 2, received {levels}")
        self.levels = levels

    def draw(self, shape, seed_generator):
        """Noise of a training batch, the first argument of `forward` after the images."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(shape, seed_generator)")

    def seeded(self, seeds, event, index):
        """Noise of importance sample `index` as a pure function of seeds: int64 (B,) -> float32 (B, *event)."""
        raise NotImplementedError(f"{type(self).__name__} must define seeded(seeds, event, index)")

    def forward(self, x, noise, training=False):
        """y (B, *event) in (0, 1) and -log q(u | x) - D log levels, (B,), of images and noise of their shape."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x, noise, training)")

    def level(self, x):
        """The level k of each value, as floats."""
        return ops.round(x * (self.levels - 1.0))

    def centre(self, x):
        """y in the middle of the image's levels, u = 1/2."""
        return (self.level(x) + 0.5) / self.levels

    def continuous_image(self, y):
        """The image in [0, 1] whose `centre` is y, were there levels between levels; y beyond the end levels is clipped."""
        return ops.clip((y * self.levels - 0.5) / (self.levels - 1.0), 0.0, 1.0)


@serializable
class UniformDequantisation(Dequantisation):
    """u uniform in (0, 1), log q(u | x) = 0 (Uria et al., 2013; Theis et al., 2016). Arguments as for `Dequantisation`."""

    def __init__(self, levels=256, **kwargs):
        super().__init__(levels, **kwargs)

    def build(self, input_shape):
        pass

    def draw(self, shape, seed_generator):
        return replicas.uniform(shape, seed_generator)

    def seeded(self, seeds, event, index):
        return noise.uniform(seeds, event, noise.LIKELIHOOD + 256 * index)

    def forward(self, x, noise, training=False):
        size = math.prod(x.shape[1:])
        weight = ops.full((ops.shape(x)[0],), -size * math.log(self.levels), dtype=x.dtype)
        return (self.level(x) + noise) / self.levels, weight


@serializable
class VariationalDequantisation(Dequantisation):
    """u = sigmoid(g(e; x)), e ~ N(0, 1): a conditional flow, trained with the model's, that tightens the bound.

    -log q(u | x) = -log N(e; 0, 1) + log |det du/de| (Ho et al., 2019, section 3.1).

    Args:
        levels: as for `Dequantisation`.
        bijector: g, a bijector of the images' shape; its networks take a context if there is one.
        context: Functional model, images (B, H, W, C) -> features (B, H, W, F) that g is conditioned on; or None.
    """

    def __init__(self, levels, bijector, context=None, **kwargs):
        super().__init__(levels, **kwargs)
        require(isinstance(bijector, Bijector), f"VariationalDequantisation(bijector) expects a Bijector, received "
                                                f"{type(bijector).__name__}")
        self.bijector = bijector
        self.context = context
        self.squash = Sigmoid()

    def build(self, input_shape):
        build_once(self.bijector, input_shape)
        build_once(self.squash, input_shape)

    def draw(self, shape, seed_generator):
        return replicas.normal(shape, seed_generator)

    def seeded(self, seeds, event, index):
        return noise.normal(seeds, event, noise.LIKELIHOOD + 256 * index)

    def forward(self, x, noise, training=False):
        context = None if self.context is None else self.context(x, training=training)
        moved, log_det = self.bijector.forward_and_log_det(noise, context, training)
        u, of_sigmoid = self.squash.forward_and_log_det(moved)
        weight = log_det + of_sigmoid - sum_event(gaussian_log_prob(noise))
        return (self.level(x) + u) / self.levels, weight - math.prod(x.shape[1:]) * math.log(self.levels)

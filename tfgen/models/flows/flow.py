"""Normalizing flows: exact densities by a change of variables."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions.bijectors import Bijector, Standardise
from tfgen.distributions.bijectors.base import build_once
from tfgen.distributions.likelihoods import BITS_OF_LEVELS
from tfgen.distributions.priors import Normal
from tfgen.errors import require
from tfgen.models.base.bounds import importance_weighted
from tfgen.models.base.generative import GenerativeModel, batch_images
from tfgen.serialization import serializable
from tfgen.verbs import Option

# Rows whose inverse is compared with them, and training steps from one comparison to the next.
CHECKED, EVERY = 2, 100


@serializable
class Flow(GenerativeModel):
    """Maximises log p(x) with log p(y) = log p_prior(f(y)) + log |det df/dy| (Dinh et al., 2015).

    With `dequantisation`, x are images on grey levels, y is x made continuous, and the loss is -log of a lower bound on
    the probability P(x) of the levels: E[log p(y) - log q(u | x)] - D log levels, see `tfgen.distributions.Dequantisation`;
    `log_prob` is that bound in nats, so that `bits_offset` is 0, and `decode` gives images between the levels, which
    `sample` rounds to them. Without, y = x: `log_prob` is the exact log-density.

    Args:
        bijector: f, a `tfgen.distributions.bijectors.Bijector` from `image_shape` to vectors (D,).
        image_shape: shape of an event: (H, W, C), or (D,) for vectors.
        prior: a `tfgen.distributions.Prior` with `log_prob`.
        dequantisation: a `tfgen.distributions.Dequantisation`, or None for a density of x itself.

    Reported: `loss` in nats per image; `bits_per_dim` = loss / (D ln 2), plus `bits_offset`; `invertibility_error`, the
    largest |y - f^-1(f(y))| of two rows of a batch, measured at every hundredth training step and at every validation batch.

    Raises:
        UserError: for what is no bijector, or one that does not end with vectors.
    """

    loss_names = ("bits_per_dim", "invertibility_error")

    def __init__(self, bijector, image_shape, prior=Normal(), dequantisation=None, **kwargs):
        super().__init__(**kwargs)
        require(isinstance(bijector, Bijector), f"Flow(bijector) expects a Bijector, received {type(bijector).__name__}")
        self.bijector = bijector
        self.image_shape = tuple(image_shape)
        self.prior = prior
        self.dequantisation = dequantisation
        for layer in (bijector, *([dequantisation] if dequantisation else [])):
            build_once(layer, (None, *self.image_shape))
        self.latent_shape = tuple(bijector.compute_output_shape((None, *self.image_shape))[1:])
        require(len(self.latent_shape) == 1,
                f"Flow expects a bijector that ends with vectors (D,), received latents of shape {self.latent_shape}: "
                f"end it with Flatten()")
        self.last_error = self.add_weight((), "zeros", trainable=False, aggregation="mean", name="last_error")
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    @property
    def bits_offset(self):
        """0 for the probability of levels, and for vectors in their own units; log2(255) for a density of 8-bit images."""
        return 0.0 if self.dequantisation or self.scaling else BITS_OF_LEVELS

    @property
    def scaling(self):
        first = getattr(self.bijector, "bijectors", [self.bijector])[0]
        return (first.location, first.scale) if isinstance(first, Standardise) else None

    def verb_options(self, name):
        if name == "sample":
            return {"temperature": Option("float32", 1.0, 0.0, 2.0, "factor of the latents; small: smooth, alike")}
        if name == "log_prob" and self.dequantisation:
            return {"k": Option("int64", 1, 1, 100_000, "importance samples of the dequantisation's bound")}
        return {}

    def log_density(self, y, training=False):
        """log p(y) in nats: (B, *image_shape) -> (B,)."""
        z, log_det = self.bijector.forward_and_log_det(y, training=training)
        return self.prior.log_prob(z) + log_det

    def invertibility_error(self, y):
        """Largest |y - f^-1(f(y))|, outside of training: a scalar."""
        return ops.max(ops.abs(self.bijector.inverse(self.bijector.forward_and_log_det(y)[0]) - y))

    def compute_losses(self, batch, training):
        y, weight = tf.cast(batch_images(batch), tf.float32), 0.0
        if self.dequantisation:
            if training:
                drawn = self.dequantisation.draw(ops.shape(y), self.seed_generator)
            else:
                drawn = self.dequantisation.seeded(noise.seeds_of(y), self.image_shape, 0)
            y, weight = self.dequantisation.forward(y, drawn, training)
        z, log_det = self.bijector.forward_and_log_det(y, training=training)
        loss = -ops.mean(self.prior.log_prob(z) + log_det + weight)
        bits = loss / (math.prod(self.image_shape) * math.log(2.0)) + self.bits_offset
        return {"loss": loss, "bits_per_dim": bits, "invertibility_error": self.checked(tf.stop_gradient(y), z, training)}

    def checked(self, y, z, training):
        """The invertibility error of the first rows of y, z = f(y); in training the last one that was measured."""
        y = y[:CHECKED]
        if not training:
            return ops.max(ops.abs(self.bijector.inverse(z[:CHECKED]) - y))
        if not self.compiled:
            return self.invertibility_error(y)
        due = tf.equal(tf.cast(self.optimizer.iterations, tf.int64) % EVERY, 0)
        error = tf.cond(due, lambda: self.invertibility_error(y), lambda: tf.convert_to_tensor(self.last_error))
        self.last_error.assign(error)
        return error

    def encode(self, x):
        """Latents (B, D) of images, at the middle of their grey levels."""
        y = self.dequantisation.centre(x) if self.dequantisation else x
        return self.bijector.forward_and_log_det(y)[0]

    def decode(self, z):
        y = self.bijector.inverse(z)
        return self.dequantisation.continuous_image(y) if self.dequantisation else y

    def sample(self, seeds, temperature=1.0):
        """Images from latents drawn from the prior and multiplied by the temperature (Kingma & Dhariwal, 2018, section 6).

        Args:
            seeds: int64 (B,).
            temperature: a number or (B,), >= 0; 1: the model's own distribution.

        Returns:
            (B, *image_shape), on the grey levels if there are any.
        """
        temperature = tf.broadcast_to(tf.cast(temperature, tf.float32), tf.shape(seeds))
        made = self.decode(temperature[:, None] * self.prior.seeded(seeds, self.latent_shape[0]))
        return self.dequantisation.level(made) / (self.dequantisation.levels - 1.0) if self.dequantisation else made

    def log_prob(self, x, k=1):
        """log p(x) in nats, with dequantisation a lower bound on log P(x) whose noise is a function of the image.

        The bound is the importance-weighted one of Burda et al. (2016): log (1/k) sum_i p(y_i) / q(u_i | x) levels^-D.

        Args:
            x: (B, *image_shape).
            k: samples, an int or int (B,); the bound tightens with k. Without dequantisation there is none to draw.

        Returns:
            float32 (B,).
        """
        x = tf.convert_to_tensor(x)
        if not self.dequantisation:
            return self.log_density(x)
        seeds = noise.seeds_of(x)

        def log_weight(index):
            y, weight = self.dequantisation.forward(x, self.dequantisation.seeded(seeds, self.image_shape, index))
            return self.log_density(y) + weight

        return importance_weighted(log_weight, k, tf.shape(x)[0])

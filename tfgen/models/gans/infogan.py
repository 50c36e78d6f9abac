"""InfoGAN: codes that the critic recovers from samples."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.distributions.divergences import gaussian_log_prob
from tfgen.errors import require
from tfgen.models.gans.gan import GAN, check_heads
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable(inherit=True)
class InfoGAN(GAN):
    """Part of the latent is a code that a head of the critic predicts from the image (Chen et al., 2016).

    The latent is [noise, one-hot of a category c ~ uniform, codes u ~ uniform in [-1, 1]]. Both players also minimise
    -information_weight * L, L = E log q(c|x) + log categories + E log q(u|x) + codes log 2, a lower bound on the
    mutual information of code and image in nats (equation 5). q(u|x) is a Gaussian around a mean that the head predicts. Its
    deviation is 1, as in the authors' code for MNIST, so that a continuous code adds at most log 2 - log(2 pi) / 2 = -0.23
    nats to L, or predicted, too, if the head has room for it.

    Args:
        generator: takes latents of width noise + categories + codes.
        critic: images -> [scores (B, 1), head (B, categories + codes)]: logits and means; or (B, categories + 2 codes),
            with log standard deviations.
        categories: number of categories of the discrete code; 0: no discrete code.
        codes: number of continuous codes.
        information_weight: lambda of the category.
        code_weight: lambda of the continuous codes.
        **arguments: as for `GAN`.

    Also reported: `mutual_information`, the bound on generated images in nats.
    """

    loss_names = (*GAN.loss_names, "mutual_information")
    # Below every code: asks for one drawn from the seed.
    DRAWN = -9.0

    def __init__(self, generator, critic, categories=10, codes=2, information_weight=1.0, code_weight=1.0, **kwargs):
        super().__init__(generator, critic, **kwargs)
        require(categories + codes > 0, "InfoGAN expects a category or a continuous code, received none of either")
        require(self.latent_shape[0] > categories + codes,
                f"the generator must take noise and {categories + codes} code values, its latents have width "
                f"{self.latent_shape[0]}")
        check_heads(critic, 1, None)
        head = critic.outputs[1].shape[-1] - categories
        require(head in (codes, 2 * codes),
                f"the critic's head must have {categories + codes} values, {categories} logits and {codes} means, or "
                f"{codes} log deviations more, it has {head + categories}")
        self.categories = categories
        self.codes = codes
        self.information_weight = information_weight
        self.code_weight = code_weight

    def check(self, generator, critic, num_classes):
        super().check(generator, critic, num_classes)
        require(not num_classes, f"InfoGAN takes no condition, received num_classes={num_classes}: its codes are learned")

    @property
    def noise_dim(self):
        return self.latent_shape[0] - self.categories - self.codes

    def draw(self, x, training):
        if not training:
            return self.latents(noise.seeds_of(x))
        rows = ops.shape(x)[0]
        z = self.prior.draw(rows, self.noise_dim, self.seed_generator)
        uniforms = replicas.uniform((rows, 1 + self.codes), self.seed_generator)
        return self.join(z, tf.cast(uniforms[:, 0] * self.categories, tf.int32), 2.0 * uniforms[:, 1:] - 1.0)

    def join(self, z, category, codes):
        parts = [z] + ([ops.one_hot(category, self.categories)] if self.categories else []) + [codes]
        return ops.concatenate(parts, axis=-1)

    def latents(self, seeds, category=None, chosen=(), **options):
        """Latents of seeds; codes that are not given are drawn from the seed."""
        uniforms = noise.uniform(seeds, (1 + self.codes,), noise.CODES)
        drawn = tf.cast(uniforms[:, 0] * self.categories, tf.int32)
        if category is not None:
            category = tf.cast(category, tf.int32)
            drawn = tf.where(category < 0, drawn, category)
        codes = 2.0 * uniforms[:, 1:] - 1.0
        if chosen:
            asked = ops.stack([tf.cast(value, tf.float32) for value in chosen], axis=-1)
            codes = tf.where(asked <= self.DRAWN, codes, asked)
        return self.join(self.prior.seeded(seeds, self.noise_dim, **options), drawn, codes)

    def verb_options(self, name):
        options = super().verb_options(name)
        if name == "sample" and self.categories:
            options["category"] = Option("int64", -1, -1, self.categories - 1, "discrete code; -1: from the seed")
        if name == "sample":
            for index in range(self.codes):
                options[f"code_{index + 1}"] = Option("float32", self.DRAWN, self.DRAWN, 3.0,
                                                      f"continuous code, -1 ... 1 in training; {self.DRAWN}: from the seed")
        return options

    def sample(self, seeds, category=None, **options):
        chosen = [options.pop(f"code_{index + 1}") for index in range(self.codes) if f"code_{index + 1}" in options]
        return self.make(self.latents(seeds, category, chosen, **options))

    def information(self, head, latent):
        """(bound for the category, bound for the codes) from the head's output on images made from `latent`."""
        logits, mean, log_std = tf.split(head, [self.categories, self.codes, -1], axis=-1)
        category, codes = tf.split(latent[:, self.noise_dim:], [self.categories, self.codes], axis=-1)
        discrete = continuous = ops.zeros(())
        if self.categories:
            discrete = math.log(self.categories) - ops.mean(
                keras.losses.categorical_crossentropy(category, logits, from_logits=True))
        if self.codes:
            log_var = 2.0 * log_std if log_std.shape[-1] else 0.0
            continuous = self.codes * math.log(2.0) + ops.mean(ops.sum(gaussian_log_prob(codes, mean, log_var), axis=-1))
        return discrete, continuous

    def critic_head_loss(self, real, fake, label, made):
        return self.generator_head_loss(fake, label, made)

    def generator_head_loss(self, fake, label, made):
        discrete, continuous = self.information(fake[0], made["latent"])
        return -self.information_weight * discrete - self.code_weight * continuous

    def head_reports(self, fake, made):
        return {"mutual_information": sum(self.information(fake[0], made["latent"]))}

"""Variational autoencoders: the ELBO and the importance-weighted bound, conditional or not."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas, schedules
from tfgen.distributions import Bernoulli, gaussian_kl, gaussian_log_prob
from tfgen.distributions.priors import Normal
from tfgen.errors import require
from tfgen.models.autoencoders.autoencoder import EncoderDecoder, check_decoder
from tfgen.models.base.bounds import importance_weighted
from tfgen.models.base.generative import GenerativeModel
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable
class VAE(EncoderDecoder, GenerativeModel):
    """Maximises a bound on log p(x) with q(z|x) = N(mean(x), var(x)), p(z) = N(0, 1).

    With one importance sample, the ELBO with the KL term in closed form (Kingma & Welling, 2013):
    loss = E_q[-log p(x|z)] + kl_weight * KL(q || p), a beta-VAE for kl_weight != 1 (Higgins et al., 2017).
    With k > 1, the bound of Burda et al. (2016):
    loss = -log (1/k) sum_i p(x|z_i) p(z_i) / q(z_i|x).

    Args:
        encoder: Functional model, images (or [images, labels]) -> (B, 2 d): mean, then log variance.
        decoder: Functional model, latents (B, d) (or [latents, labels]) -> parameters of `likelihood`.
        likelihood: a `tfgen.distributions.Likelihood`.
        kl_weight: a number >= 0 or a schedule of the step (`tfgen.schedules`, or Keras' own).
        free_bits: KL in nats per latent dimension, averaged over the batch, below which the loss is constant
            (Kingma et al., 2016); 0: none.
        importance_samples: k >= 1.
        num_classes: number of classes of a conditional model, whose networks take labels (Sohn et al., 2015); None:
            unconditional.

    Reported: `reconstruction` and `kl` in nats per image, and `elbo` = -(reconstruction + kl), independent of `kl_weight`.

    Raises:
        UserError: if shapes do not fit, or `kl_weight` / `free_bits` are combined with k > 1.
    """

    loss_names = ("reconstruction", "kl", "elbo")
    prior = Normal()

    def __init__(self, encoder, decoder, likelihood=Bernoulli(), kl_weight=1.0, free_bits=0.0, importance_samples=1,
                 num_classes=None, **kwargs):
        super().__init__(**kwargs)
        made, taken = encoder.outputs[0].shape[-1], decoder.inputs[0].shape[-1]
        require(made == 2 * taken, f"the encoder must give mean and log variance, {2 * taken} values for the "
                                   f"decoder's {taken} latents, it gives {made}")
        check_decoder(encoder, decoder, likelihood)
        expected = 2 if num_classes else 1
        for network in (encoder, decoder):
            require(len(network.inputs) == expected,
                    f"with num_classes={num_classes} the {network.name} must take {expected} input(s), "
                    f"it takes {len(network.inputs)}")
        require(importance_samples >= 1, f"importance_samples expects at least 1, received {importance_samples}")
        plain = isinstance(kl_weight, (int, float)) and kl_weight == 1 and not free_bits
        require(importance_samples == 1 or plain,
                "the importance-weighted bound has no KL term to weigh: leave kl_weight at 1 and free_bits at 0")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.kl_weight = kl_weight
        self.free_bits = free_bits
        self.importance_samples = importance_samples
        self.num_classes = num_classes
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def verb_options(self, name):
        options = {}
        if self.num_classes:
            options["label"] = Option("int64", None, 0, self.num_classes - 1, "class of each image")
        if name == "log_prob":
            options["k"] = Option("int64", 1, 1, 100_000, "importance samples of the bound; 1: the ELBO")
        return options

    def inputs_of(self, x, label):
        """Inputs of a network: x, and the labels if the model is conditional."""
        return [ops.convert_to_tensor(x), ops.convert_to_tensor(label)] if self.num_classes else x

    def posterior(self, x, label=None, training=False):
        """Mean and log variance of q(z|x): two (B, d)."""
        statistics = self.encoder(self.inputs_of(x, label), training=training)
        mean, log_var = ops.split(ops.cast(statistics, "float32"), 2, axis=-1)
        return mean, log_var

    def parameters(self, z, label=None, training=False):
        """The likelihood's parameters at latents (B, d)."""
        made = self.decoder(self.inputs_of(z, label), training=training)
        return ops.cast(made, "float32")

    def compute_losses(self, batch, training):
        x, label = batch if isinstance(batch, (tuple, list)) else (batch, None)
        mean, log_var = self.posterior(x, label, training)
        k = self.importance_samples
        if training:
            draws = (replicas.normal((ops.shape(x)[0], *self.latent_shape), self.seed_generator) for _ in range(k))
            epsilon = ops.concatenate(list(draws))
        else:
            # Validation losses are functions of the images alone.
            seeds = noise.seeds_of(x, self.scaling)
            epsilon = ops.concatenate([self.posterior_noise(seeds, index) for index in range(k)])
        if k > 1:
            # (B, d) -> (k B, d), sample-major: one decoder pass for all k.
            mean, log_var = ops.tile(mean, (k, 1)), ops.tile(log_var, (k, 1))
            label = ops.tile(label, (k,)) if self.num_classes else None
            x = ops.tile(x, (k, *[1] * (len(x.shape) - 1)))
        z = mean + ops.exp(0.5 * log_var) * epsilon
        parameters = self.parameters(z, label, training)
        if training:
            self.update_statistics(x, parameters)
        log_likelihood = self.likelihood.log_prob(parameters, x)
        kl = gaussian_kl(mean, log_var)
        reconstruction, total_kl = -ops.mean(log_likelihood), ops.mean(ops.sum(kl, axis=-1))
        if k > 1:
            log_weight = log_likelihood + self.log_ratio(z, mean, log_var, epsilon)
            loss = math.log(k) - ops.mean(ops.logsumexp(ops.reshape(log_weight, (k, -1)), axis=0))
        else:
            step = self.optimizer.iterations if self.compiled else 0
            floored = total_kl
            if self.free_bits:
                floored = ops.sum(ops.maximum(replicas.mean(ops.mean(kl, axis=0)), self.free_bits))
            loss = reconstruction + schedules.value(self.kl_weight, step) * floored
        return {"loss": loss, "reconstruction": reconstruction, "kl": total_kl,
                "elbo": -(reconstruction + total_kl)}

    def update_statistics(self, x, parameters):
        """Hook for running statistics, called once per training batch."""

    def posterior_noise(self, seeds, index):
        """The noise of importance sample `index` for each seed: (B, d)."""
        return noise.normal(seeds, self.latent_shape, noise.POSTERIOR + 256 * index)

    @staticmethod
    def log_ratio(z, mean, log_var, epsilon):
        """log p(z) - log q(z|x) at z = mean + exp(log_var / 2) epsilon: (B,)."""
        log_q = gaussian_log_prob(epsilon) - 0.5 * log_var
        return ops.sum(gaussian_log_prob(z) - log_q, axis=-1)

    def encode(self, x, label=None):
        return self.posterior(x, label)[0]

    def decode(self, z, label=None):
        return self.likelihood.mean(self.parameters(z, label))

    def reconstruct(self, x, label=None):
        return self.decode(self.encode(x, label), label)

    def sample(self, seeds, label=None):
        return self.decode(self.prior.seeded(seeds, self.latent_shape[0]), label)

    def log_prob(self, x, label=None, k=1):
        """Importance-weighted lower bound on log p(x) in nats (Burda et al., 2016), the ELBO for k = 1.

        The noise is a hash of the image, so that the value of an image does not depend on its batch.

        Args:
            x: images (B, H, W, C).
            label: int (B,), for a conditional model.
            k: samples, an int or int (B,); the bound tightens with k.

        Returns:
            float32 (B,), in expectation at most log p(x), increasing with k. If the likelihood is not `normalised` on
            the images (a Bernoulli on grey levels), a bound on the negative cross-entropy instead.
        """
        seeds = noise.seeds_of(x, self.scaling)
        mean, log_var = self.posterior(x, label)

        def log_weight(index):
            epsilon = self.posterior_noise(seeds, index)
            z = mean + ops.exp(0.5 * log_var) * epsilon
            log_likelihood = self.likelihood.log_prob(self.parameters(z, label), x)
            return log_likelihood + self.log_ratio(z, mean, log_var, epsilon)

        return importance_weighted(log_weight, k, tf.shape(seeds)[0])

"""Hierarchical variational autoencoders: latents drawn top-down, layer by layer, in the model and in its posterior."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas, schedules
from tfgen.distributions import Bernoulli, gaussian_kl, gaussian_log_prob
from tfgen.distributions.likelihoods import sum_pixels
from tfgen.errors import require
from tfgen.models.autoencoders.autoencoder import check_decoder
from tfgen.models.base.bounds import importance_weighted
from tfgen.models.base.generative import GenerativeModel
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable
class HierarchicalVAE(GenerativeModel):
    """Maximises the ELBO of L layers of latents z_1 (the top) ... z_L, with a top-down posterior (Sonderby et al., 2016).

    The model and its posterior share a deterministic path from the top to the image,

        h_1 = 0,   h_{l+1} = merges[l](h_l, z_l),   p(x | z) = likelihood(decoder(h_{L+1})),

    so that h_l is a function of z_1 ... z_{l-1}, and both are diagonal Gaussians in each layer:

        p(z_l | z_<l) = N(mean, exp(log_var)) of priors[l](h_l),
        q(z_l | z_<l, x) = N(mean, exp(log_var)) of posteriors[l](h_l, e_l),   e_1 ... e_L = encoder(x).

    As h_1 is 0, the biases of priors[1] are the parameters of p(z_1). With one sample of z from q,

        loss = -log p(x | z) + kl_weight * sum_l max(free_bits, KL_l),
        KL_l = E_q KL(q(z_l | z_<l, x) || p(z_l | z_<l)), in closed form given z_<l, averaged over the batch.

    Args:
        encoder: Functional model, images (B, H, W, C) -> list of L tensors, e_l the features for layer l (the same tensor
            may be that of several layers).
        priors: L Functional models, h_l -> mean and log variance of z_l, concatenated on the last axis.
        posteriors: L Functional models, [h_l, e_l] -> mean and log variance of z_l, likewise.
        merges: L Functional models, [h_l, z_l] -> h_{l+1}.
        decoder: Functional model, h_{L+1} -> parameters of `likelihood`, (B, H, W, C k).
        likelihood: a `tfgen.distributions.Likelihood`.
        kl_weight: a number >= 0 or a schedule of the step (`tfgen.schedules`, or Keras' own).
        free_bits: KL in nats per layer and image, averaged over the batch, below which the loss is constant (Kingma et
            al., 2016); 0: none.

    A latent of `encode` and `decode` is the concatenation of z_1 ... z_L, each flattened, top first: (B, d).

    Reported: `reconstruction`, `kl` and `kl_1` ... `kl_L` (KL_l, top first) in nats per image, and `elbo` =
    -(reconstruction + kl), independent of `kl_weight` and `free_bits`.

    Raises:
        UserError: if the numbers of networks or their shapes do not fit.
    """

    def __init__(self, encoder, priors, posteriors, merges, decoder, likelihood=Bernoulli(), kl_weight=1.0, free_bits=0.0,
                 **kwargs):
        self.layer_names = tuple(f"kl_{layer}" for layer in range(1, len(priors) + 1))
        super().__init__(**kwargs)
        check_ladder(encoder, priors, posteriors, merges, decoder)
        check_decoder(encoder, decoder, likelihood)
        self.encoder = encoder
        self.priors = list(priors)
        self.posteriors = list(posteriors)
        self.merges = list(merges)
        self.decoder = decoder
        self.likelihood = likelihood
        self.kl_weight = kl_weight
        self.free_bits = free_bits
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    @property
    def loss_names(self):
        return ("reconstruction", "kl", "elbo", *self.layer_names)

    @property
    def image_shape(self):
        return tuple(self.encoder.inputs[0].shape[1:])

    @property
    def layer_shapes(self):
        """Shapes of z_1 ... z_L of one image."""
        return [tuple(merge.inputs[1].shape[1:]) for merge in self.merges]

    @property
    def latent_shape(self):
        return (sum(map(math.prod, self.layer_shapes)),)

    def verb_options(self, name):
        if name == "sample":
            return {"temperature": Option("float32", 1.0, 0.0, 2.0, "factor of the standard deviations of all layers; "
                                                                    "1: samples of the model, 0: the mean of each layer")}
        if name == "log_prob":
            return {"k": Option("int64", 1, 1, 100_000, "importance samples of the bound; 1: the ELBO")}
        return {}

    def split(self, flat):
        """(B, d) -> [z_1 ... z_L], the inverse of `joined`."""
        shapes, parts, start = self.layer_shapes, [], 0
        for shape in shapes:
            size = math.prod(shape)
            parts.append(ops.reshape(flat[:, start:start + size], (-1, *shape)))
            start += size
        return parts

    @staticmethod
    def joined(latents):
        """[z_1 ... z_L] -> (B, d)."""
        rows = ops.shape(latents[0])[0]
        return ops.concatenate([ops.reshape(z, (rows, math.prod(z.shape[1:]))) for z in latents], axis=1)

    def descend(self, rows, latent, training=False):
        """Parameters of the likelihood at z_l = latent(l, h_l), with l from 0: float32 (rows, H, W, C k)."""
        h = ops.zeros((rows, *self.priors[0].inputs[0].shape[1:]))
        for layer, merge in enumerate(self.merges):
            h = merge([h, latent(layer, h)], training=training)
        return ops.cast(self.decoder(h, training=training), "float32")

    def infer(self, features, noises, training=False):
        """The top-down pass of the posterior, z_l = mean + exp(log_var / 2) noises[l].

        Args:
            features: the encoder's output, e_1 ... e_L.
            noises: list of L tensors of the shapes of z_1 ... z_L.

        Returns:
            (parameters of the likelihood, [(z_l, posterior, prior) for each layer]), the latter two (mean, log variance).
        """
        layers = []

        def latent(layer, h):
            mean, log_var = gaussian(self.posteriors[layer]([h, features[layer]], training=training))
            z = mean + ops.exp(0.5 * log_var) * noises[layer]
            layers.append((z, (mean, log_var), gaussian(self.priors[layer](h, training=training))))
            return z

        return self.descend(ops.shape(noises[0])[0], latent, training), layers

    def features(self, x, training=False):
        return keras.tree.flatten(self.encoder(x, training=training))

    def posterior_noise(self, seeds, index):
        """The noise of importance sample `index` for each seed: list of L tensors."""
        return self.split(noise.normal(seeds, self.latent_shape, noise.POSTERIOR + 256 * index))

    def compute_losses(self, batch, training):
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        if training:
            noises = self.split(replicas.normal((ops.shape(x)[0], *self.latent_shape), self.seed_generator))
        else:
            # Validation losses are functions of the images alone.
            noises = self.posterior_noise(noise.seeds_of(x), 0)
        parameters, layers = self.infer(self.features(x, training), noises, training)
        kls = [ops.mean(sum_pixels(gaussian_kl(*posterior, *prior))) for _, posterior, prior in layers]
        reconstruction, kl = -ops.mean(self.likelihood.log_prob(parameters, x)), sum(kls)
        floored = sum(ops.maximum(each, self.free_bits) for each in replicas.mean(kls)) if self.free_bits else kl
        weight = schedules.value(self.kl_weight, self.optimizer.iterations if self.compiled else 0)
        return {"loss": reconstruction + weight * floored, "reconstruction": reconstruction, "kl": kl,
                "elbo": -(reconstruction + kl), **dict(zip(self.layer_names, kls, strict=True))}

    def encode(self, x):
        """z_1 ... z_L, each the mean of its posterior given those above it: (B, d)."""
        rows = ops.shape(x)[0]
        _, layers = self.infer(self.features(x), [ops.zeros((rows, *shape)) for shape in self.layer_shapes])
        return self.joined([z for z, _, _ in layers])

    def decode(self, z):
        latents = self.split(z)
        return self.likelihood.mean(self.descend(ops.shape(z)[0], lambda layer, h: latents[layer]))

    def reconstruct(self, x):
        return self.decode(self.encode(x))

    def sample(self, seeds, temperature=1.0):
        """Means of the likelihood at latents drawn top-down, z_l = mean + temperature exp(log_var / 2) noise.

        Args:
            seeds: int64 (B,); a negative seed asks for fresh noise.
            temperature: number or (B,), >= 0.

        Returns:
            float32 (B, H, W, C).
        """
        return self.resample(seeds, seeds, 0, temperature)

    def resample(self, seeds, others, kept, temperature=1.0):
        """Samples with the `kept` upper layers of `seeds` and the layers below drawn from the noise of `others`.

        Args:
            seeds, others: int64 (B,).
            kept: number of layers, 0 ... L.
            temperature: as for `sample`.
        """
        uppers = self.split(noise.normal(seeds, self.latent_shape, noise.LATENT))
        lowers = uppers if others is seeds else self.split(noise.normal(others, self.latent_shape, noise.LATENT))
        noises = [*uppers[:kept], *lowers[kept:]]
        rows = ops.shape(noises[0])[0]
        temperature = tf.broadcast_to(tf.cast(temperature, tf.float32), [rows])

        def latent(layer, h):
            mean, log_var = gaussian(self.priors[layer](h, training=False))
            factor = ops.reshape(temperature, (-1, *[1] * (len(mean.shape) - 1)))
            return mean + factor * ops.exp(0.5 * log_var) * noises[layer]

        return self.likelihood.mean(self.descend(rows, latent))

    def log_prob(self, x, k=1):
        """Importance-weighted lower bound on log p(x) in nats (Burda et al., 2016), the ELBO for k = 1.

        The noise is a hash of the image, so that the value of an image does not depend on its batch.

        Args:
            x: images (B, H, W, C).
            k: samples, an int or int (B,); the bound tightens with k.

        Returns:
            float32 (B,), in expectation at most log p(x), increasing with k; see `VAE.log_prob` for likelihoods that are
            not `normalised`.
        """
        seeds, features = noise.seeds_of(x), self.features(x)

        def log_weight(index):
            noises = self.posterior_noise(seeds, index)
            parameters, layers = self.infer(features, noises)
            total = self.likelihood.log_prob(parameters, x)
            for epsilon, (z, (_, log_var), prior) in zip(noises, layers, strict=True):
                total += sum_pixels(gaussian_log_prob(z, *prior) - gaussian_log_prob(epsilon) + 0.5 * log_var)
            return total

        return importance_weighted(log_weight, k, tf.shape(seeds)[0])


def gaussian(statistics):
    """(mean, log variance), float32, of a network's output: its two halves on the last axis."""
    return ops.split(ops.cast(statistics, "float32"), 2, axis=-1)


def check_ladder(encoder, priors, posteriors, merges, decoder):
    """Raises a `UserError` unless the networks of a `HierarchicalVAE` fit each other."""
    features = encoder.outputs
    counts = [len(features), len(priors), len(posteriors), len(merges)]
    require(min(counts) == max(counts) > 0, "expected as many outputs of the encoder, priors, posteriors and merges, at "
                                            f"least one each, received {', '.join(map(str, counts))}")
    state = tuple(priors[0].inputs[0].shape)
    for layer, (prior, posterior, merge) in enumerate(zip(priors, posteriors, merges), 1):
        *grid, channels = merge.inputs[1].shape
        wanted = {"the prior's input": (prior.inputs[0], state), "the posterior's inputs": (posterior.inputs[0], state),
                  "the posterior's features": (posterior.inputs[1], tuple(features[layer - 1].shape)),
                  "the merge's state": (merge.inputs[0], state),
                  "the prior's output": (prior.outputs[0], (*grid, 2 * channels)),
                  "the posterior's output": (posterior.outputs[0], (*grid, 2 * channels))}
        for name, (tensor, shape) in wanted.items():
            require(tuple(tensor.shape) == tuple(shape),
                    f"layer {layer}: {name} must have shape {tuple(shape)[1:]}, received {tuple(tensor.shape)[1:]}")
        state = tuple(merge.outputs[0].shape)
    require(tuple(decoder.inputs[0].shape) == state, f"the decoder must take the last merge's output, {state[1:]}, it takes "
                                                     f"{tuple(decoder.inputs[0].shape)[1:]}")

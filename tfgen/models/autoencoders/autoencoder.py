"""Autoencoders: one training procedure; sparse, denoising, contractive and other variants are its arguments."""

from keras import ops

from tfgen import noise
from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.base.generative import GenerativeModel
from tfgen.serialization import serializable


def check_decoder(encoder, decoder, likelihood):
    """Raises a `UserError` if the decoder's output cannot parametrise `likelihood` over the encoder's images."""
    image, made = tuple(encoder.inputs[0].shape[1:]), tuple(decoder.outputs[0].shape[1:])
    wanted = (*image[:-1], likelihood.parameters(image[-1]))
    require(made == wanted, f"the decoder must give {wanted} for images of {image} under "
                            f"{type(likelihood).__name__}, it gives {made}")


class EncoderDecoder:
    """Mixin for models with `encoder`, `decoder` and `likelihood`: shapes, reconstruction losses, encode and decode."""

    @property
    def image_shape(self):
        return tuple(self.encoder.inputs[0].shape[1:])

    @property
    def latent_shape(self):
        return tuple(self.decoder.inputs[0].shape[1:])

    def reconstruction_losses(self, parameters, target):
        """Mean -log p in nats per image, and the mean squared error of the likelihood's mean (of vectors in units of each
        value's scale)."""
        return {"reconstruction": -ops.mean(self.likelihood.log_prob(parameters, target)),
                "mse": ops.mean(ops.square(self.likelihood.difference(self.likelihood.mean(parameters), target)))}

    def decode(self, z):
        return self.likelihood.mean(self.decoder(z, training=False))

    def reconstruct(self, x):
        return self.decode(self.encode(x))


@serializable
class Autoencoder(EncoderDecoder, GenerativeModel):
    """Minimises E[-log p(x | decoder(encoder(corrupt(x))))] + penalties (Hinton & Salakhutdinov, 2006).

    Args:
        encoder: Functional model, images (B, H, W, C) -> codes (B, d).
        decoder: Functional model, codes -> parameters of `likelihood`, (B, H, W, C k).
        likelihood: a `tfgen.distributions.Likelihood`; Bernoulli is cross-entropy, Gaussian squared error.
        corruption: a layer applied to the input in training only; the loss is against the clean image
            (Vincent et al., 2008). None: no corruption.
        penalties: objects `(encoder, x, codes) -> scalar`, see `tfgen.losses.penalties`.

    Batches are images, pairs (input, clean target), or (images, integer labels), whose labels are ignored.

    Raises:
        UserError: if the shapes of encoder, decoder and likelihood do not fit.
    """

    loss_names = ("reconstruction", "penalty", "mse")

    def __init__(self, encoder, decoder, likelihood=Bernoulli(), corruption=None, penalties=(), **kwargs):
        super().__init__(**kwargs)
        codes, wanted = tuple(encoder.outputs[0].shape[1:]), tuple(decoder.inputs[0].shape[1:])
        require(codes == wanted, f"the encoder gives codes of shape {codes}, the decoder takes {wanted}")
        check_decoder(encoder, decoder, likelihood)
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.corruption = corruption
        self.penalties = list(penalties)
        # Keras tracks generators that are attributes of a layer, not of a plain object.
        self.penalty_seeds = [p.seed_generator for p in self.penalties if hasattr(p, "seed_generator")]
        self.built = True

    def compute_losses(self, batch, training):
        x, target = input_and_target(batch)
        corrupted = self.corruption(x, training=training) if self.corruption is not None else x
        codes = self.encoder(corrupted, training=training)
        parameters = self.decoder(codes, training=training)
        losses = self.reconstruction_losses(parameters, target)
        if training:
            self.update_statistics(target, codes, parameters)
        losses["penalty"] = sum((self.penalty(each, corrupted, codes, training) for each in self.penalties), ops.zeros(()))
        return losses | {"loss": losses["reconstruction"] + losses["penalty"]}

    def penalty(self, penalty, x, codes, training):
        """A penalty, whose noise is a function of the images in evaluation."""
        if training or not hasattr(penalty, "seeded"):
            return penalty(self.encoder, x, codes)
        return penalty.seeded(self.encoder, x, codes, noise.seeds_of(x, self.scaling))

    def update_statistics(self, x, codes, parameters):
        """Hook for running statistics, called once per training batch."""

    def encode(self, x):
        return self.encoder(x, training=False)


def input_and_target(batch):
    """(input, clean target) of a batch that is images, (input, clean image) or (images, labels)."""
    if not isinstance(batch, (tuple, list)):
        return batch, batch
    x, second = batch[0], batch[1]
    return (x, second) if len(second.shape) == len(x.shape) else (x, x)

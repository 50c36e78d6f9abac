"""Autoencoders: one procedure; under- and overcomplete, sparse, denoising, contractive … are its arguments."""

from keras import ops

from tfgen.anomaly import CodeDistance, Compared, SquaredError
from tfgen.losses import Bernoulli
from tfgen.model import GenerativeModel, require
from tfgen.serialization import serializable


def check_decoder(encoder, decoder, likelihood):
    """Raises a `UserError` if the decoder's output cannot parametrise `likelihood` over the encoder's images."""
    image, made = tuple(encoder.inputs[0].shape[1:]), tuple(decoder.outputs[0].shape[1:])
    wanted = (*image[:-1], image[-1] * likelihood.parameters_per_value)
    require(made == wanted, f"the decoder must give {wanted} for images of {image} under "
                            f"{type(likelihood).__name__}, it gives {made}")


class EncoderDecoder:
    """Mixes into a model with `encoder`, `decoder` and `likelihood`: shapes, reconstruction losses, the verbs of codes."""

    @property
    def image_shape(self):
        return tuple(self.encoder.inputs[0].shape[1:])

    @property
    def latent_shape(self):
        return tuple(self.decoder.inputs[0].shape[1:])

    def reconstruction_losses(self, parameters, target):
        """-log p in nats an image, and the mean squared error of the mean image."""
        return {"reconstruction": -ops.mean(self.likelihood.log_prob(parameters, target)),
                "mse": ops.mean(ops.square(self.likelihood.mean(parameters) - target))}

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
        likelihood: a `tfgen.losses.Likelihood`; Bernoulli is cross-entropy, Gaussian squared error.
        corruption: a layer applied to the input in training only; the loss is against the clean image
            (Vincent et al., 2008). None: no corruption.
        penalties: objects `(encoder, x, codes) -> scalar`, see `tfgen.penalties`.

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
            self.observe(target, codes, parameters)
        penalties = [penalty(self.encoder, corrupted, codes) for penalty in self.penalties]
        losses["penalty"] = sum(penalties, ops.zeros(()))
        return losses | {"loss": losses["reconstruction"] + losses["penalty"]}

    def observe(self, x, codes, parameters):
        """What a subclass learns from a training batch beside its weights."""

    def encode(self, x):
        return self.encoder(x, training=False)


def input_and_target(batch):
    """(input, clean target) of a batch that is images, (input, clean image) or (images, labels)."""
    if not isinstance(batch, (tuple, list)):
        return batch, batch
    x, second = batch[0], batch[1]
    return (x, second) if len(second.shape) == len(x.shape) else (x, x)


@serializable(inherit=True)
class AnomalyAutoencoder(Compared, Autoencoder):
    """An `Autoencoder` of normal images; what it reconstructs badly, or codes unusually, is strange.

    score(x) = difference of x and its reconstruction + code_weight * squared Mahalanobis distance of its code per
    dimension (Denouden et al., 2018).

    Args:
        difference: of image and reconstruction, see `tfgen.anomaly`.
        code_weight: >= 0; once calibrated (`tfgen.anomaly.calibrate`) both terms are 1 on average over normal images that
            were not trained on, with `StandardisedError` and `top` = 1.
        **arguments: as for `Autoencoder`.

    Raises:
        UserError: as `Autoencoder`, or if the codes are not flat.
    """

    def __init__(self, encoder, decoder, difference=SquaredError(), code_weight=0.0, **kwargs):
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        require(len(self.latent_shape) == 1, f"the encoder must give codes (B, d), it gives {self.latent_shape}")
        self.difference = difference
        self.code_weight = code_weight
        self.code_distance = CodeDistance(self.latent_shape[0])

    def observe(self, x, codes, parameters):
        if self.corruption is not None:
            # What is usual of clean images.
            codes = self.encoder(x, training=False)
            parameters = self.decoder(codes, training=False)
        self.difference.update(x, self.likelihood.mean(parameters))
        self.code_distance.update(codes)

    def usual_terms(self):
        codes = [(self.code_distance, lambda x: self.code_distance(self.encode(x)))] if self.code_weight else []
        return [*super().usual_terms(), *codes]

    def score(self, x):
        codes = self.encode(x)
        difference = self.difference.pool(self.difference(ops.convert_to_tensor(x), self.decode(codes)))
        return difference + self.code_weight * self.code_distance(codes) if self.code_weight else difference

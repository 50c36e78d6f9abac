"""Adversarial reconstruction of normal images: GANomaly and Skip-GANomaly."""

from keras import ops

from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.layers.differences import SquaredError
from tfgen.losses import NonSaturating
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.generative import SPAN
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.serialization import serializable


def check_features(critic):
    """Raises a `UserError` unless a critic gives scores and features."""
    require(len(critic.outputs) == 2, f"the critic must give [scores, features], it gives {len(critic.outputs)} output(s)")


@serializable
class ReconstructingGAN(ReconstructionDetector, AdversarialModel):
    """A generator that reconstructs normal images, and a critic whose features compare images and reconstructions.

    A subclass defines `generate` (a dictionary with the reconstruction as `"image"`) and `comparison_losses`.

    Args:
        critic: Functional model, images -> [scores (B, 1), features].
        objective: the critic's objective, see `tfgen.losses.adversarial`.
        adversarial_weight, contextual_weight: weights of the generator's adversarial term and of the mean absolute error
            of images in [-1, 1].
        difference: error map of image and reconstruction for `anomaly_map`, see `tfgen.layers.differences`.

    Also reported: `critic_real`, `critic_fake`, the objective's reading of the critic's scores, and `mse` of images
    in [0, 1].
    """

    loss_names = ("critic_real", "critic_fake", "mse")

    def __init__(self, critic, objective=NonSaturating(), adversarial_weight=1.0, contextual_weight=50.0,
                 difference=SquaredError(), **kwargs):
        super().__init__(**kwargs)
        check_features(critic)
        self.critic = critic
        self.objective = objective
        self.adversarial_weight = adversarial_weight
        self.contextual_weight = contextual_weight
        self.difference = difference
        self.joint_batches = not depends_on_batch(critic)

    def reconstruction(self, x, training):
        """Images -> {"image": their reconstructions, …}."""
        raise NotImplementedError(f"{type(self).__name__} must define reconstruction(x, training)")

    def comparison_losses(self, x, made, training):
        """(generator loss without the contextual term, {name: reported value})."""
        raise NotImplementedError(f"{type(self).__name__} must define comparison_losses(x, made, training)")

    @property
    def image_shape(self):
        return tuple(self.critic.inputs[0].shape[1:])

    @staticmethod
    def images(batch):
        return batch[0] if isinstance(batch, (tuple, list)) else batch

    def judge(self, images, training):
        """[scores, features] of images."""
        return [ops.cast(output, "float32") for output in self.critic(images, training=training)]

    def generate(self, batch, training):
        return self.reconstruction(self.images(batch), training)

    def critic_losses(self, batch, made, training):
        real, fake = judge_both(lambda images: self.judge(images, training), [self.images(batch)], [made["image"]],
                                self.joint_batches)
        loss = 0.5 * self.objective.critic(real[0], fake[0])
        return {"critic_loss": loss, "critic_real": self.objective.reading(real[0]),
                "critic_fake": self.objective.reading(fake[0])}

    def generator_losses(self, batch, made, training):
        x = self.images(batch)
        loss, reports = self.comparison_losses(x, made, training)
        loss += self.contextual_weight * SPAN * ops.mean(ops.abs(x - made["image"]))
        return {"generator_loss": loss, "mse": ops.mean(ops.square(x - made["image"])), **reports}

    def reconstruct(self, x):
        return self.reconstruction(ops.convert_to_tensor(x), training=False)["image"]


@serializable(inherit=True)
class GANomaly(ReconstructingGAN):
    """An encoder-decoder-encoder whose two codes of a normal image agree (Akcay et al., 2018).

    z = encoder(x), x' = decoder(z), z' = second_encoder(x'). The generator minimises, with f the critic's features,

        w_adv mean (f(x) - f(x'))^2 + w_con mean |x - x'| + w_enc mean (z - z')^2    (images in [-1, 1]),

    and the critic discriminates x from x'. `score` is mean |z - z'|.

    Args:
        encoder, second_encoder: Functional models, images (B, H, W, C) -> codes (B, d), which share no weights.
        decoder: Functional model, codes -> images in [0, 1].
        critic: Functional model, images -> [scores (B, 1), features].
        encoder_weight: w_enc; `adversarial_weight` and `contextual_weight` are the others.
        **arguments: as for `ReconstructingGAN`.

    Also reported: `encoder_loss`, mean (z - z')^2.

    Raises:
        UserError: if the networks do not fit each other.
    """

    loss_names = (*ReconstructingGAN.loss_names, "encoder_loss")

    def __init__(self, encoder, decoder, second_encoder, critic, encoder_weight=1.0, **kwargs):
        super().__init__(critic=critic, **kwargs)
        for network, shapes in ((decoder, (encoder.outputs[0], encoder.inputs[0])),
                                (second_encoder, (encoder.inputs[0], encoder.outputs[0]))):
            wanted = tuple(tuple(x.shape[1:]) for x in shapes)
            found = tuple(tuple(x.shape[1:]) for x in (network.inputs[0], network.outputs[0]))
            require(found == wanted, f"the {network.name} must make {wanted[1]} from {wanted[0]}, it makes {found[1]} from "
                                     f"{found[0]}")
        self.encoder = encoder
        self.decoder = decoder
        self.second_encoder = second_encoder
        self.encoder_weight = encoder_weight
        self.built = True

    @property
    def latent_shape(self):
        return tuple(self.encoder.outputs[0].shape[1:])

    @property
    def generator_networks(self):
        return [self.encoder, self.decoder, self.second_encoder]

    def reconstruction(self, x, training):
        z = ops.cast(self.encoder(x, training=training), "float32")
        image = ops.cast(self.decoder(z, training=training), "float32")
        return {"image": image, "code": z, "second_code": ops.cast(self.second_encoder(image, training=training), "float32")}

    def comparison_losses(self, x, made, training):
        encoder_loss = ops.mean(ops.square(made["code"] - made["second_code"]))
        loss = self.encoder_weight * encoder_loss
        if self.adversarial_weight:
            real, fake = self.judge(x, training)[1], self.judge(made["image"], training)[1]
            loss += self.adversarial_weight * ops.mean(ops.square(real - fake))
        return loss, {"encoder_loss": encoder_loss}

    def encode(self, x):
        return ops.cast(self.encoder(x, training=False), "float32")

    def decode(self, z):
        return ops.cast(self.decoder(z, training=False), "float32")

    def score(self, x):
        made = self.reconstruction(ops.convert_to_tensor(x), training=False)
        return ops.mean(ops.abs(made["code"] - made["second_code"]), axis=-1)


@serializable(inherit=True)
class SkipGANomaly(ReconstructingGAN):
    """A U-Net that reconstructs normal images (Akcay et al., 2019).

    x' = generator(x). The generator minimises, with f the critic's features,

        w_adv (adversarial term) + w_con mean |x - x'| + w_lat mean (f(x) - f(x'))^2    (images in [-1, 1]).

    `score` is share * R + (1 - share) * L: R the score of `difference` for images in [-1, 1], by default their mean squared
    error, L the mean squared error of features. With `StandardisedError`, R is relative to what is usual at each pixel.

    Args:
        generator: Functional model, images (B, H, W, C) -> images in [0, 1].
        critic: Functional model, images -> [scores (B, 1), features].
        latent_weight: w_lat; `adversarial_weight` and `contextual_weight` are the others.
        share: weight of the reconstruction error in the score, in [0, 1].
        corruption: a layer applied to the generator's input in training only, because skip connections would copy the image;
            None disables it.
        **arguments: as for `ReconstructingGAN`.

    Also reported: `latent_loss`, mean (f(x) - f(x'))^2.

    Raises:
        UserError: if the networks do not fit each other.
    """

    loss_names = (*ReconstructingGAN.loss_names, "latent_loss")

    def __init__(self, generator, critic, latent_weight=1.0, share=0.9, corruption=None, **kwargs):
        super().__init__(critic=critic, **kwargs)
        for x, what in ((generator.inputs[0], "take"), (generator.outputs[0], "make")):
            require(tuple(x.shape[1:]) == self.image_shape,
                    f"the generator must {what} images {self.image_shape} as the critic does, received {tuple(x.shape[1:])}")
        require(0 <= share <= 1, f"share expects a number in [0, 1], received {share}")
        self.generator = generator
        self.latent_weight = latent_weight
        self.share = share
        self.corruption = corruption
        self.built = True

    def reconstruction(self, x, training):
        x = self.corruption(x, training=training) if self.corruption is not None else x
        return {"image": ops.cast(self.generator(x, training=training), "float32")}

    def comparison_losses(self, x, made, training):
        real, (scores, fake) = self.judge(x, training)[1], self.judge(made["image"], training)
        latent_loss = ops.mean(ops.square(real - fake))
        loss = self.latent_weight * latent_loss
        if self.adversarial_weight:
            loss += self.adversarial_weight * self.objective.generator(scores)
        if training:
            # What is usual of whole images, with the averages of batch normalisation.
            self.difference.update(x, self.reconstruct(x))
        return loss, {"latent_loss": latent_loss}

    def score(self, x):
        x = ops.convert_to_tensor(x)
        made = self.reconstruct(x)
        error = SPAN**2 * self.difference.pool(self.difference(x, made))
        features = self.judge(x, training=False)[1] - self.judge(made, training=False)[1]
        latent = ops.mean(ops.square(features), axis=tuple(range(1, len(features.shape))))
        return self.share * error + (1.0 - self.share) * latent

"""f-AnoGAN: an encoder that inverts the generator of a trained GAN."""

import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.differences import SquaredError
from tfgen.losses import Wasserstein
from tfgen.models.base.generative import SPAN
from tfgen.models.base.stages import Stages
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.models.detectors.ganomaly import check_features
from tfgen.models.gans.gan import GAN
from tfgen.serialization import serializable


@serializable(inherit=True)
class FAnoGAN(ReconstructionDetector, Stages, GAN):
    """A GAN of normal images for `gan_steps` steps, then an encoder E that inverts its generator G (Schlegl et al., 2019).

    The encoder minimises, with f the critic's features, n pixels and n_f features,

        ||x - G(E(x))||^2 / n + kappa ||f(x) - f(G(E(x)))||^2 / n_f    (images in [-1, 1]; the paper's izi_f),

    with generator and critic fixed. `score` is this sum per image, `anomaly_map` the error map of x and G(E(x)).

    Args:
        generator: Functional model, latents (B, d) -> images (B, H, W, C) in [0, 1].
        critic: Functional model, images -> [scores (B, 1), features (B, n_f)].
        encoder: Functional model, images -> latents.
        gan_steps: steps of the GAN, >= 1.
        feature_weight: kappa.
        difference: error map of image and reconstruction for `anomaly_map`, see `tfgen.layers.differences`.
        **arguments: as for `GAN`, without a condition or an average of the generator.

    Reported as for `GAN`, and `stage` (0: the GAN trains, 1: the encoder trains), and `izi_f` in validation. In stage 1,
    training's `generator_loss` is the encoder's loss, and the critic's values are zero.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = (*GAN.loss_names, "stage", "izi_f")
    stages = 2

    def __init__(self, generator, critic, encoder, gan_steps=1000, feature_weight=1.0, objective=Wasserstein(),
                 difference=SquaredError(), **kwargs):
        super().__init__(generator=generator, critic=critic, objective=objective, **kwargs)
        made, taken = (tuple(x.shape[1:]) for x in (encoder.outputs[0], generator.inputs[0]))
        require(made == taken, f"the encoder gives latents of {made}, the generator takes {taken}")
        require(tuple(encoder.inputs[0].shape[1:]) == self.image_shape,
                f"the encoder takes images of {tuple(encoder.inputs[0].shape[1:])}, the generator makes {self.image_shape}")
        check_features(critic)
        require(not (self.num_classes or self.ema), "f-AnoGAN takes neither a condition nor an average of the generator")
        require(gan_steps >= 1, f"gan_steps expects at least 1, received {gan_steps}")
        self.encoder = encoder
        self.gan_steps = gan_steps
        self.feature_weight = feature_weight
        self.difference = difference
        self.add_step()

    def stage_at(self, step):
        return tf.cast(step >= self.gan_steps, tf.int32)

    @property
    def generator_networks(self):
        return {0: [self.generator], 1: [self.encoder], None: [self.generator, self.encoder]}[self._stage]

    def izi_f(self, x, training):
        """The encoder's loss per image: (B,)."""
        z = ops.cast(self.encoder(x, training=training), "float32")
        made = self.make(z)
        features, found = (self.judge(images, None, training=False)[1] for images in (x, made))
        error = ops.mean(ops.square(SPAN * (x - made)), axis=(1, 2, 3))
        return error + self.feature_weight * ops.mean(ops.square(features - found), axis=-1)

    def critic_losses(self, batch, made, training):
        stage = tf.cast(self.stage_at(self.step), tf.float32)
        return super().critic_losses(batch, made, training) | {"stage": stage, "izi_f": tf.zeros(())}

    def train_step(self, data):
        return self.by_stage(
            lambda: GAN.train_step(self, data) if self.stage == 0 else self.step_alone(data, self.encoder_losses))

    def encoder_losses(self, batch):
        """Losses of stage 1."""
        loss = ops.mean(self.izi_f(self.images_and_labels(batch)[0], training=True))
        return {"generator_loss": loss, "stage": tf.ones(()), "izi_f": loss}

    def generator_losses(self, batch, made, training):
        losses = super().generator_losses(batch, made, training)
        if not training:
            losses["izi_f"] = ops.mean(self.izi_f(self.images_and_labels(batch)[0], training=False))
        return losses

    def encode(self, x):
        return ops.cast(self.encoder(x, training=False), "float32")

    def reconstruct(self, x):
        return self.decode(self.encode(x))

    def score(self, x):
        return self.izi_f(ops.convert_to_tensor(x), training=False)

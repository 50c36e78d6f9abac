"""Stacked GANs: stage I generates small images; stage II, with stage I frozen, the full images."""

import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.distributions.divergences import gaussian_kl
from tfgen.errors import require
from tfgen.models.gans.staged import StagedGAN
from tfgen.serialization import serializable


@serializable(inherit=True)
class StackGAN(StagedGAN):
    """Two conditional GANs within one `fit`: a sketch from the label, then the image from the sketch (Zhang et al., 2017).

    The label enters each stage as c ~ N(mean(label), diag variance(label)). A stage's generator minimises
    objective.generator(fake) + kl_weight * KL(N(mean, variance) || N(0, 1)); in stage II, stage I is frozen. For the
    critics, half of the fake pairs are real images with wrong labels (Reed et al., 2016, arXiv:1605.05396).

    Args:
        generator: [latents, labels] -> [sketches, images, condition of stage I, of stage II], conditions as means and log
            variances (B, 2 n); its layers "sketcher" and "refiner" are the stages, see `tfgen.networks.stackgan`.
        critic: [sketches, images, labels] -> two scores.
        num_classes: number of classes.
        stage_one_steps: number of steps of stage I, >= 1; stage II has no end.
        kl_weight: weight of the KL term in nats, >= 0. The paper's weight is 1, its authors' code has 2 for the mean over
            128 dimensions, which is 2 / 128 here; at 1 the generator ignores the label, whose KL costs more than it
            gains.
        **arguments: as for `GAN`.

    Also reported: `kl` in nats; `critic_fake` averages over generated images and wrong labels.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = (*StagedGAN.loss_names, "kl")

    def __init__(self, generator, critic, num_classes, stage_one_steps=2000, kl_weight=2 / 128, **kwargs):
        super().__init__(generator, critic, num_classes=num_classes, **kwargs)
        require(stage_one_steps >= 1, f"stage_one_steps expects at least 1, received {stage_one_steps}")
        require(kl_weight >= 0, f"kl_weight expects a number >= 0, received {kl_weight}")
        self.stage_one_steps = stage_one_steps
        self.kl_weight = kl_weight

    @staticmethod
    def image_shapes(generator):
        return [tuple(output.shape[1:]) for output in generator.outputs[:2]]

    def check(self, generator, critic, num_classes):
        require(len(generator.outputs) == 4 and len(generator.inputs) == 2,
                "the generator must take latents and labels and give sketches, images and two conditions, it takes "
                f"{len(generator.inputs)} inputs and gives {len(generator.outputs)} outputs")
        names = [layer.name for layer in generator.layers]
        require({"sketcher", "refiner"} <= set(names),
                f"the generator must have the layers sketcher and refiner, it has {names}")
        require(num_classes and num_classes > 1, f"StackGAN expects at least 2 classes, received num_classes={num_classes}")
        require(len(critic.inputs) == 3, f"with num_classes={num_classes} the critic must take sketches, "
                                                         f"images and labels, it takes {len(critic.inputs)} inputs")
        super().check(generator, critic, num_classes)

    def split(self, generator):
        return [generator.get_layer("sketcher"), generator.get_layer("refiner")]

    def stage_at(self, step):
        return tf.cast(step >= self.stage_one_steps, tf.int32)

    def paint(self, z, label, training):
        sketcher, refiner = self.generators if training else self.samplers
        image, stats = sketcher([z, label], training=training and self.stage == 0)
        if self.stage == 1:
            image, stats = refiner([tf.stop_gradient(image), z, label], training=training)
        return {"image": ops.cast(image, "float32"), "condition": ops.cast(stats, "float32")}

    def judge(self, images, label, training):
        return [ops.cast(self.critics[self.stage]([images, label], training=training), "float32")]

    def wrong(self, label, images, training):
        """Another class per label (B,): random in training, else a function of each image."""
        share = replicas.uniform(ops.shape(label), self.seed_generator) if training else (
            noise.uniform(noise.seeds_of(images), (), noise.CORRUPTION))
        label = tf.cast(label, tf.int32)
        return (label + 1 + tf.cast(share * (self.num_classes - 1), tf.int32)) % self.num_classes

    def judge_both(self, real, fake, label, training):
        judged, made = super().judge_both(real, fake, label, training)
        mismatched = self.judge(real, self.wrong(label, real, training), training)
        return judged, [ops.concatenate(pair) for pair in zip(made, mismatched)]

    def generator_losses(self, batch, made, training):
        kl = ops.mean(ops.sum(gaussian_kl(*ops.split(made["condition"], 2, axis=-1)), axis=-1))
        losses = super().generator_losses(batch, made, training)
        return {"generator_loss": losses["generator_loss"] + self.kl_weight * kl, "kl": kl}

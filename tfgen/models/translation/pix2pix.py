"""Translation between aligned images: a conditional GAN plus an L1 term."""

import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.losses import NonSaturating
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.generative import SPAN
from tfgen.serialization import serializable
from tfgen.verbs import Option


class Translator:
    """Mixin for models whose `generator` maps sources to images: the shapes of both."""

    @property
    def image_shape(self):
        return tuple(self.generator.outputs[0].shape[1:])

    @property
    def source_shape(self):
        return tuple(self.generator.inputs[0].shape[1:])


@serializable
class Pix2Pix(Translator, AdversarialModel):
    """A generator G(x, noise) of images y and a critic of pairs (x, y) (Isola et al., 2017).

    The critic minimises 1/2 objective.critic(D(x, y), D(x, G(x))), the generator
    adversarial_weight * objective.generator(D(x, G(x))) + l1_weight * E ||y - G(x)||_1, a mean over pixels in [-1, 1].
    Batches are (x, y).

    Args:
        generator: Functional model, sources (B, H, W, C) (or [sources, seeds int64 (B,)]) -> images (B, H, W, C') in
            [0, 1]; see `tfgen.networks.translation.unet`.
        critic: Functional model, [sources, images] -> scores (B, …); see `tfgen.networks.translation.patchgan`.
        objective: objective of both players, see `tfgen.losses.adversarial`.
        l1_weight: >= 0.
        adversarial_weight: >= 0; 0: regression without a critic term.
        augmentation: augmentation of training pairs, see `GenerativeModel`.

    Also reported: `critic_real`, `critic_fake`, the objective's reading of the critic's scores, and `l1`,
    the mean absolute difference of images in [0, 1].

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = ("critic_real", "critic_fake", "l1")

    def __init__(self, generator, critic, objective=NonSaturating(), l1_weight=100.0, adversarial_weight=1.0,
                 augmentation=None, **kwargs):
        super().__init__(**kwargs)
        taken = [tuple(x.shape[1:]) for x in critic.inputs]
        given = [tuple(x.shape[1:]) for x in (generator.inputs[0], generator.outputs[0])]
        require(taken == given, f"the generator makes {given[1]} from {given[0]}; the critic must take [sources, images] of "
                                f"these shapes, it takes {taken}")
        self.generator = generator
        self.critic = critic
        self.objective = objective
        self.l1_weight = l1_weight
        self.adversarial_weight = adversarial_weight
        self.augmentation = augmentation
        self.joint_batches = not depends_on_batch(critic)
        self.built = True

    @property
    def noisy(self):
        """Whether the generator takes seeds."""
        return len(self.generator.inputs) == 2

    def make(self, x, seeds, training):
        """Images from sources."""
        return ops.cast(self.generator([x, seeds] if self.noisy else x, training=training), "float32")

    def judge(self, x, y, training):
        """[scores] of images y made from x, or real."""
        return [ops.cast(self.critic([x, y], training=training), "float32")]

    def generate(self, batch, training):
        x, _ = batch
        # Training draws its noise from the layers' own random state.
        seeds = tf.zeros(tf.shape(x)[:1], tf.int64) if training else noise.seeds_of(x)
        return self.make(x, seeds, training)

    def critic_losses(self, batch, made, training):
        x, y = batch
        (real,), (fake,) = judge_both(lambda x, y: self.judge(x, y, training), [x, y], [x, made], self.joint_batches)
        # Halved: the critic learns at half the generator's pace (section 3.3).
        loss = 0.5 * self.objective.critic(real, fake)
        return {"critic_loss": loss, "critic_real": self.objective.reading(real),
                "critic_fake": self.objective.reading(fake)}

    def generator_losses(self, batch, made, training):
        x, y = batch
        l1 = ops.mean(ops.abs(y - made))
        loss = self.l1_weight * SPAN * l1
        if self.adversarial_weight:
            loss += self.adversarial_weight * self.objective.generator(self.judge(x, made, training)[0])
        return {"generator_loss": loss, "l1": l1}

    def verb_options(self, name):
        if not self.noisy:
            return {}
        return {"seed": Option("int64", 0, -1, 2**62, "of the noise of each image; -1: fresh")}

    def translate(self, x, seed=None):
        return self.make(x, seed if seed is not None else tf.zeros(tf.shape(x)[:1], tf.int64), training=False)

"""Anomaly detection by inpainting: regions that differ from their prediction from the surroundings."""

import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.layers.differences import SquaredError
from tfgen.losses import NonSaturating
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.generative import batch_images
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.serialization import serializable


@serializable
class RegionInpainter(ReconstructionDetector, AdversarialModel):
    """A generator G(erased image, mask) that predicts erased regions, against a patch critic (Nguyen et al., 2020).

    With the mask m, 1 in a random lattice of squares, and x' = m G((1 - m) x + m fill, m) + (1 - m) x, the critic minimises
    1/2 objective.critic(D(x), D(x')), the generator l1_weight * sum m |x - x'| / sum m
    + adversarial_weight * objective.generator(D(x')). Batches are normal images, or (images, labels), whose labels are
    ignored. In validation, an image's lattice is a function of its hash.

    In inference, the lattice sweeps over the image in steps of `stride` pixels, ceil(period / stride)^2 passes, and
    `reconstruct` is, per pixel, the mean prediction over the passes in which that pixel was erased: no pixel is an input
    of its own prediction.

    Args:
        generator: Functional model, images with the mask as a further channel (B, H, W, C + 1) -> images (B, H, W, C) in
            [0, 1]; see `tfgen.networks.translation.unet`.
        critic: Functional model, images -> scores (B, …); see `tfgen.networks.translation.patchgan`.
        erasure: a `tfgen.layers.EraseLattice`.
        stride: pixels per step, 1 ... side of the lattice's squares.
        difference: error map of an image and its prediction, see `tfgen.layers.differences`. What is usual at a pixel, for
            `StandardisedError`, is the squared error of a single prediction.
        objective: what both players minimise, see `tfgen.losses.adversarial`.
        l1_weight, adversarial_weight: >= 0.

    Also reported: `critic_real`, `critic_fake`, the objective's reading of the critic's scores, and `l1`,
    the mean absolute difference in erased regions.

    Raises:
        UserError: if the networks do not fit each other, or the stride leaves pixels out.
    """

    loss_names = ("critic_real", "critic_fake", "l1")

    def __init__(self, generator, critic, erasure, stride=4, difference=SquaredError(), objective=NonSaturating(),
                 l1_weight=100.0, adversarial_weight=1.0, **kwargs):
        super().__init__(**kwargs)
        made, taken = tuple(generator.outputs[0].shape[1:]), tuple(generator.inputs[0].shape[1:])
        judged = tuple(critic.inputs[0].shape[1:])
        require(taken == (*made[:2], made[2] + 1), f"the generator makes {made}; it must take the image and a mask, "
                                                   f"{(*made[:2], made[2] + 1)}, it takes {taken}")
        require(judged == made, f"the generator makes images of {made}, the critic takes {judged}")
        require(1 <= stride <= erasure.side, f"stride expects 1 ... {erasure.side}, the side of the regions, received "
                                             f"{stride}: a longer one leaves pixels out")
        self.generator = generator
        self.critic = critic
        self.erasure = erasure
        self.stride = stride
        self.difference = difference
        self.objective = objective
        self.l1_weight = l1_weight
        self.adversarial_weight = adversarial_weight
        self.joint_batches = not depends_on_batch(critic)
        self.built = True

    @property
    def image_shape(self):
        return tuple(self.generator.outputs[0].shape[1:])

    def inpaint(self, x, mask, training=False):
        """Predictions (B, H, W, C) from images and a mask (B, H, W, 1), True where they are erased."""
        seen = ops.concatenate([self.erasure.erase(x, mask), ops.cast(mask, x.dtype)], axis=-1)
        return ops.cast(self.generator(seen, training=training), "float32")

    def judge(self, x, training):
        """[scores] of images."""
        return [ops.cast(self.critic(x, training=training), "float32")]

    def generate(self, batch, training):
        x = batch_images(batch)
        mask = self.erasure.mask(self.erasure.uniforms(x, training), *self.image_shape[:2])
        return {"image": ops.where(mask, self.inpaint(x, mask, training), x), "mask": mask}

    def critic_losses(self, batch, made, training):
        (real,), (fake,) = judge_both(lambda x: self.judge(x, training), [batch_images(batch)], [made["image"]],
                                      self.joint_batches)
        loss = 0.5 * self.objective.critic(real, fake)
        return {"critic_loss": loss, "critic_real": self.objective.reading(real),
                "critic_fake": self.objective.reading(fake)}

    def generator_losses(self, batch, made, training):
        erased = ops.cast(made["mask"], "float32")
        # A small image may lie between the regions.
        l1 = ops.sum(ops.abs(batch_images(batch) - made["image"])) / ops.maximum(
            ops.sum(erased) * self.image_shape[-1], 1.0)
        loss = self.l1_weight * l1
        if self.adversarial_weight:
            loss += self.adversarial_weight * self.objective.generator(self.judge(made["image"], training)[0])
        if training:
            # A pixel is erased, and has an error, in one of (period / side)^2 lattices.
            x, enlarged = batch_images(batch), self.erasure.period / self.erasure.side
            self.difference.update(x, x + enlarged * (made["image"] - x))
        return {"generator_loss": loss, "l1": l1}

    def reconstruct(self, x):
        x = ops.convert_to_tensor(x)
        starts = range(0, self.erasure.period, self.stride)
        # Constants, so that runtimes need no remainder of negative numbers.
        with tf.init_scope():
            sweep = tf.constant([[row, column] for row in starts for column in starts], tf.int32)
            masks = self.erasure.lattice(sweep, *self.image_shape[:2])  # (passes, H, W, 1)

        def step(index, total, count):
            mask = tf.gather(masks, index)[None]
            made = self.inpaint(x, tf.tile(mask, [tf.shape(x)[0], 1, 1, 1]))
            return index + 1, total + tf.where(mask, made, 0.0), count + tf.cast(mask, tf.float32)

        passes = masks.shape[0]
        _, total, count = tf.while_loop(
            lambda index, total, count: index < passes, step,
            (tf.constant(0), tf.zeros_like(x), tf.zeros((1, *self.image_shape[:2], 1))), maximum_iterations=passes)
        return total / count

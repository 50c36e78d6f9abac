"""Progressive growing: new resolutions fade in while the networks train."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.doubling import double
from tfgen.losses import Wasserstein
from tfgen.models.gans.staged import StagedGAN
from tfgen.networks.grids import fade, halve
from tfgen.serialization import serializable


@serializable(inherit=True)
class ProGAN(StagedGAN):
    """A GAN that grows from the smallest images to full size within one `fit` (Karras et al., 2018).

    The first stage lasts `stage_steps`; each later one fades in over `stage_steps` (alpha from 0 to 1) and is then
    stable for as many steps. The last stage has no end. Real images fade equally: reduced and enlarged at alpha 0, sharp
    at 1.

    Args:
        generator: [latents (B, d), alpha (B, 1)] -> a list of images, see `tfgen.networks.progressive`.
        critic: [images of each size, alpha] -> a list of scores.
        stage_steps: number of steps of a fade and of a stable phase, >= 1.
        objective: objective of both players.
        **arguments: as for `GAN`, without a condition.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    def __init__(self, generator, critic, stage_steps=1000, objective=Wasserstein(drift=0.001), **kwargs):
        super().__init__(generator, critic, objective=objective, **kwargs)
        require(stage_steps >= 1, f"stage_steps expects at least 1, received {stage_steps}")
        self.stage_steps = stage_steps

    def check(self, generator, critic, num_classes):
        super().check(generator, critic, num_classes)
        require(not num_classes, f"{type(self).__name__} takes no condition, received num_classes={num_classes}")
        for network, wanted in ((generator, self.inputs_of(generator)), (critic, len(generator.outputs) + 1)):
            require(len(network.inputs) == wanted, f"the {network.name} must take {wanted} inputs, alpha the last, "
                                                   f"it takes {len(network.inputs)}")

    def inputs_of(self, generator):
        """How many inputs a generator must have: latents and alpha."""
        return 2

    def split(self, generator):
        return [keras.Model(generator.inputs, image) for image in generator.outputs]

    def stage_at(self, step):
        # The first stage takes one phase, the others two each.
        return tf.clip_by_value((step // self.stage_steps + 1) // 2, 0, self.stages - 1)

    def alpha(self, step, stage):
        """Weight of the new resolution, float32 in [0, 1], at a step (int32 tensor) in a stage (int)."""
        if stage == 0:
            return tf.ones(())
        begun = (2 * stage - 1) * self.stage_steps
        return tf.clip_by_value(tf.cast(step - begun, tf.float32) / self.stage_steps, 0.0, 1.0)

    def share(self, rows):
        """The current alpha per row, (rows, 1)."""
        return self.alpha(tf.convert_to_tensor(self.step), self.stage) * ops.ones((rows, 1))

    def reduced(self, x):
        x = super().reduced(x)
        if self.stage == 0:
            return x
        return fade(double(halve(x), self.grids[self.stage]), x, self.alpha(tf.convert_to_tensor(self.step), self.stage))

    def paint(self, z, label, training):
        network = (self.generators if training else self.samplers)[self.stage]
        return {"image": ops.cast(network([z, self.share(ops.shape(z)[0])], training=training), "float32")}

    def judge(self, images, label, training):
        scores = self.critics[self.stage]([images, self.share(ops.shape(images)[0])], training=training)
        return [ops.cast(scores, "float32")]

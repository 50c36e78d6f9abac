"""GANs that train in stages, from coarse to fine."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.doubling import double
from tfgen.models.base.stages import Stages
from tfgen.models.gans.gan import GAN
from tfgen.networks.grids import halve
from tfgen.serialization import serializable


@serializable(inherit=True)
class StagedGAN(Stages, GAN):
    """A GAN of `stages` stages, each with its own image size, networks and variables; one stage trains at a time.

    A subclass defines `split`, `paint` and `stage_at`. Only the networks of a stage are computed, and only its variables
    are passed to the optimizers.

    Args:
        generator: returns a list of images, the smallest first, each with twice the sides of the one before.
        critic: its first inputs are images of these sizes.
        **arguments: as for `GAN`.

    Also reported: `stage`, counted from 0.

    Attributes:
        grids: (height, width) of the images per stage.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = (*GAN.loss_names, "stage")

    def __init__(self, generator, critic, **kwargs):
        super().__init__(generator=generator, critic=critic, **kwargs)
        self.add_step()
        self.grids = [tuple(shape[:2]) for shape in self.image_shapes(generator)]
        self.stages = len(self.grids)
        # Plain attributes: the parts share the networks' layers, which are tracked and saved once.
        object.__setattr__(self, "generators", self.split(generator))
        object.__setattr__(self, "samplers", self.split(self.sampler))
        object.__setattr__(self, "critics", split_critic(critic, self.stages))

    def split(self, generator):
        """One model per stage of a generator; the variables of a stage are those of its model."""
        raise NotImplementedError(f"{type(self).__name__} must define split(generator)")

    def paint(self, z, label, training):
        """{"image": float32 images of the current stage, …} from latents."""
        raise NotImplementedError(f"{type(self).__name__} must define paint(z, label, training)")

    @staticmethod
    def image_shapes(generator):
        """Shapes (h, w, C) of a generator's images, the smallest first."""
        return [tuple(output.shape[1:]) for output in generator.outputs]

    def check(self, generator, critic, num_classes):
        shapes = self.image_shapes(generator)
        taken = [tuple(one.shape[1:]) for one in critic.inputs[:len(shapes)]]
        require(shapes == taken, f"the generator makes images of {shapes}, the critic takes {taken}")
        for small, large in zip(shapes, shapes[1:]):
            half = tuple((side + 1) // 2 for side in large[:2])
            require(small[:2] == half, f"images before {large[:2]} must be of half the sides {half}, they are {small[:2]}")
        require(len(critic.outputs) == len(shapes),
                f"the generator makes {len(shapes)} sizes, the critic gives {len(critic.outputs)} scores")

    @property
    def image_shape(self):
        return self.image_shapes(self.generator)[-1]

    @property
    def generator_networks(self):
        return [self.generator if self._stage is None else self.generators[self._stage]]

    @property
    def critic_networks(self):
        return [self.critic if self._stage is None else self.critics[self._stage]]

    def images_and_labels(self, batch):
        x, label = super().images_and_labels(batch)
        return self.reduced(x), label

    def reduced(self, x):
        """Real images (B, H, W, C) at the stage's resolution."""
        return self.halved(x)

    def halved(self, x):
        """Images (B, H, W, C) at the stage's resolution: means of neighbours."""
        for _ in range(self.stage, self.stages - 1):
            x = halve(x)
        return x

    def enlarged(self, x):
        """A stage's images at full size, nearest neighbours repeated."""
        for grid in self.grids[self.stage + 1:]:
            x = double(x, grid)
        return x

    def critic_losses(self, batch, made, training):
        return super().critic_losses(batch, made, training) | {"stage": tf.constant(self.stage, tf.float32)}

    def test_step(self, data):
        return self.by_stage(super().test_step, data)

    def decode(self, z, label=None):
        """Latents -> images of full size in [0, 1], whatever the stage."""
        return self.by_stage(lambda: ops.clip(self.enlarged(self.paint(z, label, training=False)["image"]), 0.0, 1.0))

    def sample(self, seeds, label=None, **options):
        return self.decode(self.prior.seeded(seeds, self.latent_shape[0], **options), label)


def split_critic(critic, stages):
    """One model per stage, (images of one size, the critic's other inputs) -> scores."""
    return [keras.Model([critic.inputs[stage], *critic.inputs[stages:]], critic.outputs[stage]) for stage in range(stages)]

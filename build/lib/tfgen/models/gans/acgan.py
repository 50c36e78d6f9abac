"""AC-GAN: the critic also classifies."""

import keras
from keras import ops

from tfgen.models.gans.gan import GAN, check_heads
from tfgen.serialization import serializable


def class_loss(logits, label):
    """Mean cross-entropy of logits (B, K) against int labels (B,)."""
    return ops.mean(keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True))


@serializable(inherit=True)
class ACGAN(GAN):
    """The critic also classifies images; both players minimise the classification loss (Odena et al., 2017).

    Args:
        generator: takes [latents, labels].
        critic: images -> [scores (B, 1), class logits (B, num_classes)].
        num_classes: number of classes.
        class_weight: weight of the cross-entropy in both losses.
        **arguments: as for `GAN`.
    """

    critic_takes_labels = False

    def __init__(self, generator, critic, num_classes, class_weight=1.0, **kwargs):
        super().__init__(generator, critic, num_classes=num_classes, **kwargs)
        check_heads(critic, 1, num_classes)
        self.class_weight = class_weight

    def critic_head_loss(self, real, fake, label, made):
        return self.class_weight * (class_loss(real[0], label) + class_loss(fake[0], label))

    def generator_head_loss(self, fake, label, made):
        return self.class_weight * class_loss(fake[0], label)

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

    With C(x, y) the cross-entropy of the critic's class for x, the critic's loss has
    class_weight (C(x, y) + fake_weight C(G(z, y), y)), the generator's class_weight generator_weight C(G(z, y), y).

    Args:
        generator: takes [latents, labels].
        critic: images -> [scores (B, 1), class logits (B, num_classes)].
        num_classes: number of classes.
        class_weight: weight of the cross-entropy in both losses.
        fake_weight: of generated images in the critic's, >= 0: 1 in the paper. At 1 both players gain by images that are
            easily classified, whatever the data's are like; at 0 the classifier learns from real images alone (as in Keras'
            example).
        generator_weight: in the generator's loss, >= 0: 1 in the paper, 0.1 in Gulrajani et al. (2017).
        **arguments: as for `GAN`.
    """

    critic_takes_labels = False

    def __init__(self, generator, critic, num_classes, class_weight=1.0, fake_weight=1.0, generator_weight=1.0, **kwargs):
        super().__init__(generator, critic, num_classes=num_classes, **kwargs)
        check_heads(critic, 1, num_classes)
        self.class_weight = class_weight
        self.fake_weight = fake_weight
        self.generator_weight = generator_weight

    def critic_head_loss(self, real, fake, label, made):
        loss = class_loss(real[0], label)
        return self.class_weight * (loss + self.fake_weight * class_loss(fake[0], label) if self.fake_weight else loss)

    def generator_head_loss(self, fake, label, made):
        return self.class_weight * self.generator_weight * class_loss(fake[0], label)

"""GANs whose critic is an autoencoder: its reconstruction error is an energy."""

import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import require
from tfgen.losses import Energy, EnergyMargin, pull_away
from tfgen.models.gans.gan import GAN, check_heads
from tfgen.serialization import serializable


@serializable(inherit=True)
class EBGAN(GAN):
    """The critic is an autoencoder's error; a pull-away term spreads the codes of generated images (Zhao et al., 2017).

    Args:
        generator: latents -> images.
        critic: images -> [energies (B, 1), codes (B, d)].
        pull_away_weight: weight of the squared cosine between codes of generated images, in the generator's loss.
        objective: objective of energies.
        **arguments: as for `GAN`.
    """

    def __init__(self, generator, critic, pull_away_weight=0.1, objective=EnergyMargin(), **kwargs):
        super().__init__(generator, critic, objective=objective, **kwargs)
        check_heads(critic, 1, None)
        self.pull_away_weight = pull_away_weight

    def generator_head_loss(self, fake, label, made):
        return self.pull_away_weight * pull_away(fake[0])


@serializable(inherit=True)
class BEGAN(GAN):
    """Boundary equilibrium GAN: a control keeps the ratio of energies of generated and real images (Berthelot et al., 2017).

    critic: L(x) - k L(G(z)); generator: L(G(z)); k <- k + gain (diversity L(x) - L(G(z))), kept in [0, 1]. Samples are
    clipped to [0, 1].

    Args:
        generator: latents -> images.
        critic: images -> energies (B, 1), an autoencoder's reconstruction error.
        diversity: gamma in (0, 1], the ratio E L(G(z)) / E L(x).
        gain: lambda_k, learning rate of the control.
        objective: `losses.Energy`, whose second term k weights.
        **arguments: as for `GAN`.

    Also reported: `control` (k) and `convergence` = L(x) + |diversity L(x) - L(G(z))|, which decreases as images improve.
    """

    loss_names = (*GAN.loss_names, "control", "convergence")

    def __init__(self, generator, critic, diversity=0.5, gain=0.001, objective=Energy(), **kwargs):
        super().__init__(generator, critic, objective=objective, **kwargs)
        require(isinstance(objective, Energy), f"BEGAN(objective) expects Energy, received {type(objective).__name__}: k "
                "weights the second term of that alone")
        require(0 < diversity <= 1, f"diversity expects a number in (0, 1], received {diversity}")
        self.diversity = diversity
        self.gain = gain
        self.k = self.add_weight((), "zeros", trainable=False, name="k")

    def make(self, z, label=None, training=False):
        images = super().make(z, label, training)
        return images if training else ops.clip(images, 0.0, 1.0)

    def critic_losses(self, batch, made, training):
        losses = super().critic_losses(batch, made, training)
        real, fake = losses["critic_real"], losses["critic_fake"]
        # The objective gives L(x) - L(G(z)); k weighs the second.
        losses["critic_loss"] += (1.0 - self.k) * fake
        return losses | {"control": tf.convert_to_tensor(self.k),
                         "convergence": real + ops.abs(self.diversity * real - fake)}

    def after_step(self, losses):
        super().after_step(losses)
        change = replicas.mean(self.diversity * losses["critic_real"] - losses["critic_fake"])
        self.k.assign(ops.clip(self.k + self.gain * change, 0.0, 1.0))

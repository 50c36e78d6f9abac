"""Adversarial autoencoders: a critic of codes matches their distribution to a prior."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions import Bernoulli
from tfgen.distributions.priors import Normal
from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.losses import NonSaturating
from tfgen.models.autoencoders.autoencoder import EncoderDecoder, check_decoder, input_and_target
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.serialization import serializable


@serializable
class AAE(EncoderDecoder, AdversarialModel):
    """Minimises -E log p(x | decoder(encoder(x))) while a critic cannot tell codes from the prior (Makhzani et al., 2016).

    The generator is the encoder: generator_loss = reconstruction + adversarial_weight * objective.generator(critic(codes)).

    Args:
        encoder: Functional model, images -> codes (B, d).
        decoder: Functional model, codes -> parameters of `likelihood`.
        critic: Functional model, codes (B, d) -> scores (B, 1).
        likelihood: a `tfgen.distributions.Likelihood`.
        prior: target distribution of the codes, see `tfgen.distributions.priors`.
        objective: objective of both players, see `tfgen.losses.adversarial`.
        adversarial_weight: weight of the generator's objective, in nats.

    Reported: `reconstruction` in nats per image, `mse`, `critic_real` (of the prior), `critic_fake` (of codes).

    Raises:
        UserError: if encoder, decoder and critic do not fit each other.
    """

    loss_names = ("critic_real", "critic_fake", "reconstruction", "mse")

    def __init__(self, encoder, decoder, critic, likelihood=Bernoulli(), prior=Normal(), objective=NonSaturating(),
                 adversarial_weight=1.0, **kwargs):
        super().__init__(**kwargs)
        codes = tuple(encoder.outputs[0].shape[1:])
        for network in (decoder, critic):
            taken = tuple(network.inputs[0].shape[1:])
            require(codes == taken, f"the encoder gives codes of shape {codes}, the {network.name} takes {taken}")
        check_decoder(encoder, decoder, likelihood)
        self.encoder = encoder
        self.decoder = decoder
        self.critic = critic
        self.likelihood = likelihood
        self.prior = prior
        self.objective = objective
        self.adversarial_weight = adversarial_weight
        self.seed_generator = keras.random.SeedGenerator()
        self.joint_batches = not depends_on_batch(critic)
        self.built = True

    @property
    def generator_networks(self):
        return [self.encoder, self.decoder]

    def generate(self, batch, training):
        """Codes of a batch, the generated inputs of the critic."""
        return ops.cast(self.encoder(input_and_target(batch)[0], training=training), "float32")

    def judge(self, codes, training):
        return ops.cast(self.critic(codes, training=training), "float32")

    def critic_losses(self, batch, made, training):
        x, dim = input_and_target(batch)[0], self.latent_shape[0]
        real = self.prior.draw(tf.shape(x)[0], dim, self.seed_generator) if training else (
            self.prior.seeded(noise.seeds_of(x), dim))
        (real,), (fake,) = judge_both(lambda codes: [self.judge(codes, training)], [real], [made], self.joint_batches)
        loss = self.objective.critic(real, fake)
        return {"critic_loss": loss, "critic_real": self.objective.reading(real),
                "critic_fake": self.objective.reading(fake)}

    def generator_losses(self, batch, made, training):
        target = input_and_target(batch)[1]
        parameters = ops.cast(self.decoder(made, training=training), "float32")
        losses = self.reconstruction_losses(parameters, target)
        loss = losses["reconstruction"] + self.adversarial_weight * self.objective.generator(self.judge(made, training))
        return losses | {"generator_loss": loss}

    def encode(self, x):
        return ops.cast(self.encoder(x, training=False), "float32")

    def sample(self, seeds, **options):
        return self.decode(self.prior.seeded(seeds, self.latent_shape[0], **options))

    def verb_options(self, name):
        return dict(self.prior.options) if name == "sample" else {}

"""Generative adversarial networks: objective, penalties, prior and condition are arguments."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions.priors import Normal
from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.losses import NonSaturating
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.averages import copy_of, decay_at, move_towards
from tfgen.models.base.generative import images_and_labels
from tfgen.serialization import serializable
from tfgen.verbs import Option


def check_heads(critic, *widths):
    """Raises a `UserError` unless the critic's outputs have these widths (None: any)."""
    made = [output.shape[-1] for output in critic.outputs]
    fits = len(made) == len(widths) and all(want in (None, have) for want, have in zip(widths, made))
    require(fits, f"the critic must give outputs of widths {list(widths)} (score first), it gives {made}")


@serializable
class GAN(AdversarialModel):
    """A generator G(z[, y]) against a critic D(x[, y]) (Goodfellow et al., 2014).

    Args:
        generator: Functional model, latents (B, d) (or [latents, labels]) -> images (B, H, W, C) in [0, 1].
        critic: Functional model, images (or [images, labels]) -> scores (B, 1), or a list that begins with them.
        objective: what both players minimise, see `tfgen.losses.adversarial`.
        penalties: objects `(critic, real, fake) -> scalar`, added to the critic's loss in training, see
            `tfgen.losses.penalties`.
        critic_steps: critic updates per training step, each on its own part of the batch.
        num_classes: number of classes of a conditional model, whose batches are (images, labels) and whose networks take
            labels (Mirza & Osindero, 2014); None: unconditional.
        prior: distribution of the latents, see `tfgen.distributions.priors`.
        ema: decay in [0, 1) of a running average of the generator's weights, which generates the samples; 0 disables it.
            The decay of early steps is at most (step + 1) / (step + 10).
        historical_averaging: weight of ||theta - mean of theta so far||^2 in both losses (Salimans et al., 2016).
        critic_augmentation: a layer T of `tfgen.layers.critic_augmentation`, through which the critic sees real and
            generated images in training, in both players' losses and in penalties; None: it sees the images themselves.

    Also reported: `critic_real` and `critic_fake`, the objective's reading of the critic's scores, and the `readings` of T.
    Validation losses are without penalties and without T.

    Raises:
        UserError: if the networks do not fit each other or the condition, naming both sides, or T not the objective.
    """

    loss_names = ("critic_real", "critic_fake")
    # Whether the critic of a conditional model takes the labels, or has a head that finds them.
    critic_takes_labels = True

    def __init__(self, generator, critic, objective=NonSaturating(), penalties=(), critic_steps=1, num_classes=None,
                 prior=Normal(), ema=0.0, historical_averaging=0.0, critic_augmentation=None, **kwargs):
        if critic_augmentation is not None:
            critic_augmentation.check(objective)
            self.loss_names = (*self.loss_names, *critic_augmentation.readings)
        super().__init__(**kwargs)
        self.check(generator, critic, num_classes)
        require(critic_steps >= 1, f"critic_steps expects at least 1, received {critic_steps}")
        require(0 <= ema < 1, f"ema expects a decay in [0, 1), received {ema}")
        self.generator = generator
        self.critic = critic
        self.objective = objective
        self.penalties = list(penalties)
        self.critic_steps = critic_steps
        self.num_classes = num_classes
        self.prior = prior
        self.ema = ema
        self.historical_averaging = historical_averaging
        self.critic_augmentation = critic_augmentation
        self.seed_generator = keras.random.SeedGenerator()
        # Keras tracks generators that are attributes of a layer, not of a plain object.
        self.penalty_seeds = [p.seed_generator for p in self.penalties if hasattr(p, "seed_generator")]
        self.ema_generator = copy_of(generator) if ema else None
        self.past = [copy_of(generator), copy_of(critic)] if historical_averaging else []
        self.joint_batches = not depends_on_batch(critic)
        self.built = True

    def check(self, generator, critic, num_classes):
        """Raises a `UserError` unless generator and critic fit each other and the condition."""
        check_networks(generator, critic, num_classes, self.critic_takes_labels)

    @property
    def image_shape(self):
        return tuple(self.generator.outputs[0].shape[1:])

    @property
    def latent_shape(self):
        return tuple(self.generator.inputs[0].shape[1:])

    @property
    def sampler(self):
        """The network that generates samples: the averaged generator if there is one."""
        return self.ema_generator if self.ema else self.generator

    def images_and_labels(self, batch):
        """(images, labels or None) of a batch, see `generative.images_and_labels`."""
        return images_and_labels(batch, self.num_classes)

    def draw(self, x, training):
        """Latents for a batch of images: random in training, else functions of each image alone."""
        if training:
            return self.prior.draw(ops.shape(x)[0], self.latent_shape[0], self.seed_generator)
        return self.prior.seeded(noise.seeds_of(x), self.latent_shape[0])

    def make(self, z, label=None, training=False):
        """Calls the network: images from latents, by the generator in training, else by the sampler."""
        network = self.generator if training else self.sampler
        return ops.cast(network(z if label is None else [z, label], training=training), "float32")

    def seen(self, images, training):
        """What the critic gets of images, real or generated: T(images), drawn anew, in training."""
        return images if self.critic_augmentation is None else self.critic_augmentation(images, training=training)

    def judge(self, images, label, training):
        """The critic's outputs as a list, scores first."""
        inputs = images if label is None or not self.critic_takes_labels else [images, label]
        outputs = self.critic(inputs, training=training)
        outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        return [ops.cast(output, "float32") for output in outputs]

    def judge_both(self, real, fake, label, training):
        """Critic outputs on real and generated images, in one pass unless they depend on the batch."""
        told = [] if label is None else [label]
        return judge_both(lambda images, label=None: self.judge(images, label, training), [real, *told], [fake, *told],
                          self.joint_batches)

    def generate(self, batch, training):
        x, label = self.images_and_labels(batch)
        z = self.draw(x, training)
        return self.paint(z, label, training) | {"latent": z}

    def paint(self, z, label, training):
        """Generator outputs that the losses need: {"image": images from latents, …}."""
        return {"image": self.make(z, label, training)}

    def critic_losses(self, batch, made, training):
        x, label = self.images_and_labels(batch)
        x, image = self.seen(x, training), self.seen(made["image"], training)
        real, fake = self.judge_both(x, image, label, training)
        losses = {"critic_real": self.objective.reading(real[0]), "critic_fake": self.objective.reading(fake[0])}
        loss = self.objective.critic(real[0], fake[0]) + self.critic_head_loss(real[1:], fake[1:], label, made)
        if training:
            loss += self.penalty_loss(x, image, label) + self.distance_from_past(self.critic)
        if self.critic_augmentation is not None:
            losses |= self.critic_augmentation.watch(real[0], self.objective, training)
        return losses | {"critic_loss": loss}

    def penalty_loss(self, real, fake, label):
        """Sum of the penalties on the critic, of images as it sees them, in training."""
        return sum(penalty(lambda images: self.judge(images, label, True)[0], real, fake) for penalty in self.penalties)

    def generator_losses(self, batch, made, training):
        label = self.images_and_labels(batch)[1]
        scores, *heads = self.judge(self.seen(made["image"], training), label, training)
        loss = self.objective.generator(scores) + self.generator_head_loss(heads, label, made)
        if training:
            loss += self.distance_from_past(self.generator)
        return {"generator_loss": loss} | self.head_reports(heads, made)

    def critic_head_loss(self, real, fake, label, made):
        """Critic loss of the additional outputs on real and generated images."""
        return 0.0

    def generator_head_loss(self, fake, label, made):
        """Generator loss of the critic's additional outputs."""
        return 0.0

    def head_reports(self, fake, made):
        """Reported values of the critic's additional outputs on generated images, by `loss_names`."""
        return {}

    def distance_from_past(self, network):
        """Term of historical averaging in a player's loss."""
        total = 0.0
        for past, now in zip(self.past, (self.generator, self.critic)):
            if now is network:
                total += self.historical_averaging * sum(
                    ops.sum(ops.square(v - p)) for p, v in zip(past.variables, now.variables) if v.trainable)
        return total

    def after_step(self, losses):
        if self.ema:
            move_towards(self.ema_generator, self.generator, 1.0 - decay_at(self.ema, self.optimizer.iterations))
        for past, now in zip(self.past, (self.generator, self.critic)):
            # The running mean of all steps so far.
            move_towards(past, now, 1.0 / (tf.cast(self.optimizer.iterations, tf.float32) + 1.0))
        if self.critic_augmentation is not None:
            self.critic_augmentation.adapt()

    def verb_options(self, name):
        options = dict(self.prior.options) if name == "sample" else {}
        if self.num_classes:
            options["label"] = Option("int64", None, 0, self.num_classes - 1, "class of each image")
        return options

    def decode(self, z, label=None):
        return self.make(z, label)

    def sample(self, seeds, label=None, **options):
        return self.make(self.prior.seeded(seeds, self.latent_shape[0], **options), label)


def check_networks(generator, critic, num_classes, critic_takes_labels=True):
    """Raises a `UserError` unless generator and critic fit each other and the condition."""
    made, taken = tuple(generator.outputs[0].shape[1:]), tuple(critic.inputs[0].shape[1:])
    require(made == taken, f"the generator makes images of {made}, the critic takes {taken}")
    for network, told in (("generator", True), ("critic", critic_takes_labels)):
        inputs = len((generator if network == "generator" else critic).inputs)
        wanted = 2 if num_classes and told else 1
        require(inputs == wanted, f"with num_classes={num_classes} the {network} must take {wanted} input(s), "
                                  f"it takes {inputs}")
    require(len(generator.inputs[0].shape) == 2,
            f"the generator must take latents (B, d), it takes {tuple(generator.inputs[0].shape)}")

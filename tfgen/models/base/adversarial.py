"""The base class of adversarial models: one train step for generator and critic."""

import functools

import keras
import tensorflow as tf

from tfgen import optimizers
from tfgen.errors import require
from tfgen.models.base import distribution
from tfgen.models.base.generative import GenerativeModel, batch_images, layer_losses, unpack_keras_batch


class AdversarialModel(GenerativeModel):
    """A model of two players, generator and critic, each with its own losses, variables and optimizer.

    A subclass defines `generate`, `critic_losses` and `generator_losses`. If a player is not the single network
    `generator` or `critic`, it also defines `generator_networks` or `critic_networks`. In training, the base class adds
    to each player's loss the losses of its layers (regularisers, `add_loss`); validation losses exclude them.

    Each training step runs `critic_steps` critic updates and one generator update (Goodfellow et al., 2014, algorithm 1).
    The last critic update and the generator update share one generator forward pass; the generator's gradient passes
    through the updated critic. The batch is split into `critic_steps` equal parts, one per critic update; with
    `critic_steps=5` and 64 images per update `fit` needs batches of 320.

    Reported: `generator_loss`, `critic_loss`, the subclass' `loss_names`, and `generator_gradient`, the norm of the
    generator's gradient.

    Attributes:
        critic_steps: critic updates per training step.
        critic_optimizer: optimizer of the critic; `optimizer` is the generator's, whose `iterations` count training steps.
    """

    critic_steps = 1

    def tracked_names(self):
        # In the order in which a step computes them: the first non-finite one is the cause.
        return ("critic_loss", "generator_loss", *self.loss_names, "generator_gradient")

    @property
    def batches_per_step(self):
        return self.critic_steps

    def generate(self, batch, training):
        """Generator outputs for a batch: a nest of tensors that both players' losses receive."""
        raise NotImplementedError(f"{type(self).__name__} must define generate(batch, training)")

    def critic_losses(self, batch, made, training):
        """{"critic_loss": scalar to minimise, …}."""
        raise NotImplementedError(f"{type(self).__name__} must define critic_losses(batch, made, training)")

    def generator_losses(self, batch, made, training):
        """{"generator_loss": scalar to minimise, …}."""
        raise NotImplementedError(f"{type(self).__name__} must define generator_losses(batch, made, training)")

    @property
    def generator_networks(self):
        """Networks that the generator's optimizer updates: by default `[self.generator]`."""
        return [self.generator]

    @property
    def critic_networks(self):
        """Networks that the critic's optimizer updates: by default `[self.critic]`."""
        return [self.critic]

    @property
    def generator_variables(self):
        """Variables that the generator's optimizer updates."""
        return [v for network in self.generator_networks for v in network.trainable_variables]

    @property
    def critic_variables(self):
        """Variables that the critic's optimizer updates."""
        return [v for network in self.critic_networks for v in network.trainable_variables]

    def after_step(self, losses):
        """Hook at the end of a training step for running averages and controls."""

    def compile(self, optimizer="adam", critic_optimizer=None, **flags):
        """Configures training.

        Args:
            optimizer: the generator's `keras.optimizers.Optimizer` or its name.
            critic_optimizer: the critic's optimizer; None copies the generator's, which may then have no schedule if
                `critic_steps` > 1: the critic's counts that many updates per step.
            **flags: as for `GenerativeModel`.

        Raises:
            UserError: for `loss` and `metrics`, which are part of the model, if both players share one optimizer object, or
                for a schedule that cannot be copied.
        """
        optimizer = keras.optimizers.get(optimizer)
        config = optimizer.get_config()
        rates = optimizers.inner(optimizer).get_config()
        require(critic_optimizer is not None or self.critic_steps == 1
                or not (isinstance(rates["learning_rate"], dict) or rates.get("starts")),
                f"the critic makes {self.critic_steps} updates per step and expects a schedule of its own, received one for "
                "both players: give critic_optimizer, too")
        critic = type(optimizer).from_config(config) if critic_optimizer is None else (
            keras.optimizers.get(critic_optimizer))
        require(critic is not optimizer, "the two players need an optimizer each, received one object for both")
        # Built before the base class can build it on all variables.
        optimizer.build(self.generator_variables)
        critic.build(self.critic_variables)
        super().compile(optimizer, **flags)
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if scaled and not isinstance(critic, keras.optimizers.LossScaleOptimizer):
            critic = keras.optimizers.LossScaleOptimizer(critic, name="critic_loss_scale_optimizer")
            critic.build(self.critic_variables)
        self.critic_optimizer = critic
        distribution.prepare(self)

    def build_optimizer(self):
        self.optimizer.build(self.generator_variables)

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config["critic_optimizer"] = keras.saving.serialize_keras_object(self.critic_optimizer)
        return config

    def split_for_critic(self, batch):
        """Splits a batch into `critic_steps` equal parts, one per critic update."""
        if self.critic_steps == 1:
            return [batch]
        rows = batch_images(batch).shape[0]
        require(rows is None or rows % self.critic_steps == 0,
                f"critic_steps={self.critic_steps} expects batches of a multiple of {self.critic_steps} images, "
                f"a part for each of the critic's updates, received {rows}")
        columns = [tf.split(x, self.critic_steps) for x in keras.tree.flatten(batch)]
        return [keras.tree.pack_sequence_as(batch, list(part)) for part in zip(*columns)]

    def critic_gradients(self, batch, made):
        """(losses, gradients of `critic_variables`) for generator outputs; None: made here."""
        made = self.generate(batch, training=True) if made is None else made
        with tf.GradientTape() as tape:
            losses = self.critic_losses(batch, made, training=True)
            losses["critic_loss"] += layer_losses(self.critic_networks)
            scaled = self.scaled(self.critic_optimizer, losses["critic_loss"])
        return losses, tape.gradient(scaled, self.critic_variables)

    def update_critic(self, batch, made=None):
        """One update of the critic, by generator outputs `made` for the whole batch or for each of its parts (None)."""
        losses, gradients = self.accumulated(lambda part: self.critic_gradients(part, made), batch, self.critic_variables)
        self.critic_optimizer.apply_gradients(zip(gradients, self.critic_variables))
        return losses

    def generator_gradients(self, losses_of, batch):
        """(losses, gradients of `generator_variables`).

        Args:
            losses_of: function (batch, the tape that records it) -> {"generator_loss": scalar to minimise, …}.
        """
        with tf.GradientTape() as tape:
            losses = losses_of(batch, tape)
            losses["generator_loss"] += layer_losses(self.generator_networks)
            scaled = self.scaled(self.optimizer, losses["generator_loss"])
        return losses, tape.gradient(scaled, self.generator_variables)

    def update_generator(self, losses_of, batch):
        """One update of the generator; returns its losses and, among them, the norm of its gradient."""
        variables = self.generator_variables
        losses, gradients = self.accumulated(functools.partial(self.generator_gradients, losses_of), batch, variables)
        self.optimizer.apply_gradients(zip(gradients, variables))
        return losses | {"generator_gradient": gradient_norm(self.optimizer, gradients)}

    def step_alone(self, data, losses_of):
        """A training step of the generator's optimizer alone, for a stage without a critic; what it does not compute is 0.

        Args:
            data: a batch.
            losses_of: function batch -> {"generator_loss": scalar to minimise, …}.
        """
        data = unpack_keras_batch(data)
        losses = {name: tf.zeros(()) for name in self.tracked_names()}
        losses |= self.update_generator(lambda part, _: losses_of(part), data)
        self.after_step(losses)
        return self.update_trackers(losses, data)

    def train_step(self, data):
        data = unpack_keras_batch(data)
        *earlier, last = self.split_for_critic(data)
        for part in earlier:
            self.update_critic(part)
        # In parts, a pass of the generator would have to be kept for each until the critic is updated.
        losses = self.update_critic(last) if self.accumulate > 1 else {}

        def losses_of(part, tape):
            made = self.generate(part, training=True)
            if self.accumulate == 1:
                with tape.stop_recording():
                    losses.update(self.update_critic(part, made))
            return self.generator_losses(part, made, training=True)

        losses |= self.update_generator(losses_of, last)
        self.after_step(losses)
        return self.update_trackers(losses, data)

    def test_step(self, data):
        data = unpack_keras_batch(data)
        made = self.generate(data, training=False)
        losses = self.critic_losses(data, made, training=False) | self.generator_losses(data, made, training=False)
        logs = self.update_trackers(losses | {"generator_gradient": tf.zeros(())}, data)
        return {name: value for name, value in logs.items() if name != "generator_gradient"}


def judge_both(judge, real, fake, joint):
    """Critic outputs for real and generated inputs.

    Args:
        judge: critic as a function of tensors (B, …) that returns a list of tensors (B, …).
        real, fake: lists of its arguments.
        joint: run both in one concatenated batch; must be False if a row's outputs depend on the batch.

    Returns:
        Two lists of tensors.
    """
    if not joint:
        return judge(*real), judge(*fake)
    outputs = judge(*(tf.concat(pair, 0) for pair in zip(real, fake)))
    return tuple(zip(*(tf.split(output, 2) for output in outputs)))


def gradient_norm(optimizer, gradients):
    """Global norm of a player's gradient, without the loss scale of mixed precision; 0 if the step was skipped."""
    norm = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        norm = tf.where(tf.math.is_finite(norm), norm / optimizer.scale_loss(1.0), 0.0)
    return norm

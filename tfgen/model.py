"""The base class: one train step, trackers made at birth, serialisation that survives `load_model`."""

import keras
import tensorflow as tf

from tfgen import verbs
from tfgen.errors import UserError
from tfgen.guard import FirstBad


def first_tensor(batch):
    """The images of a batch that is `x`, `(x, y)` or a nest of tensors."""
    return keras.tree.flatten(batch)[0]


def batch_of(data):
    """A batch as datasets give it from what a step gets: `train_on_batch` adds Nones for what is not there."""
    if isinstance(data, (tuple, list)):
        given = [part for part in data if part is not None]
        return given[0] if len(given) == 1 else tuple(given)
    return data


class GenerativeModel(keras.Model):
    """A model with one optimizer whose objective is a dictionary of named losses.

    A family writes `compute_losses(batch, training)`, names what it reports in `loss_names`, and has the verbs
    that mean something for it. `compile` takes an optimizer and Keras' flags; everything that defines the
    objective is an argument of `__init__`.

    Attributes:
        loss_names: what `compute_losses` returns beside `"loss"`.
        image_shape: (height, width, channels) of one image.
        latent_shape: shape of one latent, where the model has one.
        source_shape: (height, width, channels) of what `translate` takes, where the model has that verb.
        augmentation: a layer with `seeded(images, seeds)` for training images, or None; a part of the recipe that the
            data stream applies: `dataset.train(…, augment=model.augmentation)`.
        batches_per_step: how many batches' worth of images a step takes at once.
    """

    loss_names = ()
    # Batches of the size asked for that one step takes.
    batches_per_step = 1
    augmentation = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.trackers = [keras.metrics.Mean(name=name) for name in self.tracked_names()]
        self.guard = FirstBad(self.tracked_names())

    def tracked_names(self):
        """What a step reports."""
        return ("loss", *self.loss_names)

    def compute_losses(self, batch, training):
        """{"loss": scalar to minimise, …}: scalars averaged over the batch, one for each of `loss_names` too."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_losses(batch, training)")

    @property
    def bits_offset(self):
        """What `log_prob` adds to bits/dim of 8-bit images: 8 for a density on [0, 1], 0 for a probability of levels."""
        likelihood = getattr(self, "likelihood", None)
        return 8.0 if likelihood is None else likelihood.bits_offset

    @property
    def normalised(self):
        """Whether `log_prob` is of a probability or density of grey levels, see `tfgen.losses.Likelihood`."""
        likelihood = getattr(self, "likelihood", None)
        return likelihood is None or likelihood.normalised

    def verb_options(self, name):
        """{input name: Option} of the verb `name` beside its first input."""
        return {}

    def call(self, inputs, training=False):
        """The model as a Keras layer, which `predict` applies: the verb `verbs.forward` of what it takes.

        Args:
            inputs: a batch of the verb's first input, or a tuple of that and its options in order, such as labels, which are
                held to their ranges.
            training: ignored; a trained model is applied.

        Raises:
            UserError: for inputs of another shape or number, and for a model without such a verb; names the verbs to call.
        """
        return verbs.apply(self, *verbs.forward(self, inputs))

    def predict(self, x, *arguments, **options):
        """As Keras' `predict`: what `call` gives of every batch of x. Errors as there, before anything is computed."""
        if hasattr(x, "shape") or isinstance(x, (tuple, list)):
            verbs.forward(self, x)
        return super().predict(x, *arguments, **options)

    def export(self, filepath, format="tf_saved_model", verbose=None, about=None):
        """Writes a SavedModel of all verbs, a signature each, as `tfgen export` does; verified before it has its name.

        Args:
            filepath: its folder. A SavedModel that is there is replaced.
            format: `"tf_saved_model"`.
            verbose: whether to print where it is; None, as False: no.
            about: what to record beside the signatures, a dict for JSON.

        Raises:
            UserError: for another format, or a folder that holds something else.
            Failure: if the written file does not compute what the model does.
        """
        from tfgen import export  # it is built on Keras models, and verbs on neither

        export.export_to(self, filepath, format, about)
        if verbose:
            print(f"wrote {filepath}: {', '.join(verbs.verbs_of(self))}")

    @property
    def metrics(self):
        inner = [m for layer in self._flatten_layers(include_self=False)
                 if not isinstance(layer, keras.Model) for m in layer.metrics]
        return [*self.trackers, self.guard, *inner]

    def compile(self, optimizer="adam", **flags):
        """Configures training.

        Args:
            optimizer: a `keras.optimizers.Optimizer` or its name.
            **flags: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`.

        Raises:
            UserError: for `loss` and `metrics`, which are part of the model.
        """
        allowed = {"run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"}
        if wrong := sorted(set(flags) - allowed):
            raise UserError(f"compile() of {type(self).__name__} takes an optimizer and {sorted(allowed)}, "
                             f"received {wrong}; the objective is set by the arguments of __init__")
        super().compile(optimizer=optimizer, **flags)
        self._jit_request = flags.get("jit_compile", "auto")
        # An optimizer that is not built when a file is loaded silently loses its slots.
        self.build_optimizer()

    def build_optimizer(self):
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        if not self.compiled:
            return {}
        config = super().get_compile_config()
        keep = {key: config[key] for key in ("optimizer", "run_eagerly", "steps_per_execution")}
        # What was asked for: a file written on a GPU must not force XLA on a CPU.
        return keep | {"jit_compile": self._jit_request}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def step_variables(self):
        """What a step updates: by default all trainable weights."""
        return self.trainable_variables

    def total_loss(self, losses):
        """The family's loss plus the layers' own (regularisers, `add_loss`)."""
        return losses["loss"] + layer_losses([self])

    def train_step(self, data):
        data = batch_of(data)
        with tf.GradientTape() as tape:
            losses = self.compute_losses(data, training=True)
            losses["loss"] = self.total_loss(losses)
            # Gradients of replicas are summed, so each replica takes its share.
            scaled = self.optimizer.scale_loss(losses["loss"] / self.distribute_strategy.num_replicas_in_sync)
        variables = self.step_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables))
        return self.track(losses, data)

    def test_step(self, data):
        data = batch_of(data)
        losses = self.compute_losses(data, training=False)
        losses["loss"] = self.total_loss(losses)
        return self.track(losses, data)

    def track(self, losses, data):
        """Adds a batch's losses, weighted by its size, to the epoch's means; returns the means."""
        rows = tf.shape(first_tensor(data))[0]
        for tracker in self.trackers:
            tracker.update_state(losses[tracker.name], sample_weight=rows)
        self.guard.update_state([losses[tracker.name] for tracker in self.trackers])
        return {metric.name: metric.result() for metric in self.metrics if metric is not self.guard}


class AdversarialModel(GenerativeModel):
    """A model of two players, each with its own losses, variables and optimizer.

    A family writes `generate`, `critic_losses` and `generator_losses`; where its players are not one network each,
    `generator` and `critic`, also `generator_networks` and `critic_networks`. In training the base adds to each player's
    loss what the layers of its networks add (regularisers, `add_loss`); validation losses are without it.

    A step is: `critic_steps` updates of the critic, the last of them on the very images through which the generator is
    then updated, so that one forward pass of the generator serves both; the generator's gradient passes through the
    updated critic (Goodfellow et al., 2014, algorithm 1). The batch of a step is dealt out in equal parts to the
    critic's updates, so that each sees fresh data: with `critic_steps=5` and 64 images an update give `fit` batches
    of 320.

    Reported: `generator_loss`, `critic_loss`, the family's `loss_names`, and `generator_gradient`, the norm of the
    generator's gradient.

    Attributes:
        critic_steps: updates of the critic a step.
        critic_optimizer: the critic's optimizer; `optimizer` is the generator's, and its `iterations` count steps.
    """

    critic_steps = 1

    def tracked_names(self):
        # In the order in which a step computes them: the first that is no number is the cause.
        return ("critic_loss", "generator_loss", *self.loss_names, "generator_gradient")

    @property
    def batches_per_step(self):
        return self.critic_steps

    def generate(self, batch, training):
        """What the generator makes for a batch: a nest of tensors, handed to both players' losses."""
        raise NotImplementedError(f"{type(self).__name__} must define generate(batch, training)")

    def critic_losses(self, batch, made, training):
        """{"critic_loss": scalar to minimise, …}."""
        raise NotImplementedError(f"{type(self).__name__} must define critic_losses(batch, made, training)")

    def generator_losses(self, batch, made, training):
        """{"generator_loss": scalar to minimise, …}."""
        raise NotImplementedError(f"{type(self).__name__} must define generator_losses(batch, made, training)")

    @property
    def generator_networks(self):
        """The networks that the generator's optimizer updates: by default `self.generator` alone."""
        return [self.generator]

    @property
    def critic_networks(self):
        """The networks that the critic's optimizer updates: by default `self.critic` alone."""
        return [self.critic]

    @property
    def generator_variables(self):
        """What the generator's optimizer updates."""
        return [v for network in self.generator_networks for v in network.trainable_variables]

    @property
    def critic_variables(self):
        """What the critic's optimizer updates."""
        return [v for network in self.critic_networks for v in network.trainable_variables]

    def after_step(self, losses):
        """Updates of the model's own state at the end of a step: running averages, controls."""

    def compile(self, optimizer="adam", critic_optimizer=None, **flags):
        """Configures training.

        Args:
            optimizer: the generator's `keras.optimizers.Optimizer` or its name.
            critic_optimizer: the critic's; None: one like the generator's.
            **flags: as for `GenerativeModel`.

        Raises:
            UserError: for `loss` and `metrics`, which are part of the model, or one optimizer for both players.
        """
        optimizer = keras.optimizers.get(optimizer)
        critic = type(optimizer).from_config(optimizer.get_config()) if critic_optimizer is None else (
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

    def build_optimizer(self):
        self.optimizer.build(self.generator_variables)

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config["critic_optimizer"] = keras.saving.serialize_keras_object(self.critic_optimizer)
        return config

    def deal(self, batch):
        """The parts of a batch for the critic's updates: `critic_steps` batches."""
        if self.critic_steps == 1:
            return [batch]
        rows = first_tensor(batch).shape[0]
        require(rows is None or rows % self.critic_steps == 0,
                f"critic_steps={self.critic_steps} expects batches of a multiple of {self.critic_steps} images, "
                f"a part for each of the critic's updates, received {rows}")
        columns = [tf.split(x, self.critic_steps) for x in keras.tree.flatten(batch)]
        return [keras.tree.pack_sequence_as(batch, list(part)) for part in zip(*columns)]

    def update(self, optimizer, tape, loss, variables):
        """One update of a player; returns its gradients."""
        with tape:
            # Gradients of replicas are summed, so each replica takes its share.
            scaled = optimizer.scale_loss(loss / self.distribute_strategy.num_replicas_in_sync)
        gradients = tape.gradient(scaled, variables)
        optimizer.apply_gradients(zip(gradients, variables))
        return gradients

    def update_critic(self, batch, made):
        with tf.GradientTape() as tape:
            losses = self.critic_losses(batch, made, training=True)
            losses["critic_loss"] += layer_losses(self.critic_networks)
        self.update(self.critic_optimizer, tape, losses["critic_loss"], self.critic_variables)
        return losses

    def train_step(self, data):
        data = batch_of(data)
        *earlier, last = self.deal(data)
        for part in earlier:
            self.update_critic(part, self.generate(part, training=True))
        with tf.GradientTape() as tape:
            made = self.generate(last, training=True)
            with tape.stop_recording():
                losses = self.update_critic(last, made)
            losses |= self.generator_losses(last, made, training=True)
            losses["generator_loss"] += layer_losses(self.generator_networks)
        gradients = self.update(self.optimizer, tape, losses["generator_loss"], self.generator_variables)
        losses["generator_gradient"] = gradient_norm(self.optimizer, gradients)
        self.after_step(losses)
        return self.track(losses, data)

    def test_step(self, data):
        data = batch_of(data)
        made = self.generate(data, training=False)
        losses = self.critic_losses(data, made, training=False) | self.generator_losses(data, made, training=False)
        logs = self.track(losses | {"generator_gradient": tf.zeros(())}, data)
        return {name: value for name, value in logs.items() if name != "generator_gradient"}


def layer_losses(networks):
    """What the layers of networks add to a loss, by regularisers and `add_loss`: a float32 scalar, 0 without any.

    Keras forgets the `add_loss` of a network's call at its next call, so in a step it is the last call's.
    """
    found = [tf.cast(loss, tf.float32) for network in networks for loss in network.losses]
    return tf.add_n(found) if found else tf.zeros(())


def judge_both(judge, real, fake, joint):
    """What a critic says of real and of made images.

    Args:
        judge: function of tensors, (B, …) each, that gives a list of tensors (B, …).
        real, fake: lists of its arguments.
        joint: whether both go through in one pass; not where the critic's layers use batch statistics.

    Returns:
        Two lists of tensors.
    """
    if not joint:
        return judge(*real), judge(*fake)
    outputs = judge(*(tf.concat(pair, 0) for pair in zip(real, fake)))
    return tuple(zip(*(tf.split(output, 2) for output in outputs)))


def gradient_norm(optimizer, gradients):
    """The norm of a player's gradient, without the scale of mixed precision; 0 for a step that the scaling skipped."""
    norm = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        norm = tf.where(tf.math.is_finite(norm), norm / optimizer.scale_loss(1.0), 0.0)
    return norm


def require(condition, message):
    """Raises a `UserError` of one line unless the condition holds."""
    if not condition:
        raise UserError(message)

"""The base class: one train step, trackers made at birth, serialisation that survives `load_model`."""

import keras
import tensorflow as tf


def first_tensor(batch):
    """The images of a batch that is `x`, `(x, y)` or a nest of tensors."""
    return keras.tree.flatten(batch)[0]


class GenerativeModel(keras.Model):
    """A model with one optimizer whose objective is a dictionary of named losses.

    A family writes `compute_losses(batch, training)`, names what it reports in `loss_names`, and has the verbs
    that mean something for it. `compile` takes an optimizer and Keras' flags; everything that defines the
    objective is an argument of `__init__`.

    Attributes:
        loss_names: what `compute_losses` returns beside `"loss"`.
        image_shape: (height, width, channels) of one image.
        latent_shape: shape of one latent, where the model has one.
    """

    loss_names = ()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("loss", *self.loss_names)]

    def compute_losses(self, batch, training):
        """{"loss": scalar to minimise, …}: scalars averaged over the batch, one for each of `loss_names` too."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_losses(batch, training)")

    def verb_options(self, name):
        """{input name: Option} of the verb `name` beside its first input."""
        return {}

    def call(self, inputs, training=False):
        """The model as a Keras layer: what `predict` computes."""
        if hasattr(self, "reconstruct"):
            return self.reconstruct(*inputs) if isinstance(inputs, (tuple, list)) else self.reconstruct(inputs)
        raise ValueError(f"{type(self).__name__} has no forward pass of its own; call one of its verbs")

    @property
    def metrics(self):
        inner = [m for layer in self._flatten_layers(include_self=False)
                 if not isinstance(layer, keras.Model) for m in layer.metrics]
        return self.trackers + inner

    def compile(self, optimizer="adam", **flags):
        """Configures training.

        Args:
            optimizer: a `keras.optimizers.Optimizer` or its name.
            **flags: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`.

        Raises:
            ValueError: for `loss` and `metrics`, which are part of the model.
        """
        allowed = {"run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"}
        if wrong := sorted(set(flags) - allowed):
            raise ValueError(f"compile() of {type(self).__name__} takes an optimizer and {sorted(allowed)}, "
                             f"received {wrong}; the objective is set by the arguments of __init__")
        super().compile(optimizer=optimizer, **flags)
        self._jit_request = flags.get("jit_compile", "auto")
        # An optimizer that is not built when a file is loaded silently loses its slots.
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

    def total_loss(self, losses):
        """The family's loss plus the layers' own (regularisers, `add_loss`)."""
        return losses["loss"] + tf.add_n(self.losses) if self.losses else losses["loss"]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            losses = self.compute_losses(data, training=True)
            losses["loss"] = self.total_loss(losses)
            # Gradients of replicas are summed, so each replica takes its share.
            scaled = self.optimizer.scale_loss(losses["loss"] / self.distribute_strategy.num_replicas_in_sync)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables))
        return self.track(losses, data)

    def test_step(self, data):
        losses = self.compute_losses(data, training=False)
        losses["loss"] = self.total_loss(losses)
        return self.track(losses, data)

    def track(self, losses, data):
        """Adds a batch's losses, weighted by its size, to the epoch's means; returns the means."""
        rows = tf.shape(first_tensor(data))[0]
        for tracker in self.trackers:
            tracker.update_state(losses[tracker.name], sample_weight=rows)
        return {metric.name: metric.result() for metric in self.metrics}


def require(condition, message):
    """Raises a `ValueError` of one line unless the condition holds."""
    if not condition:
        raise ValueError(message)

"""The base class of all models: one train step, loss trackers, a compile config that `load_model` restores."""

import keras
import tensorflow as tf

from tfgen import replicas
from tfgen.distributions.likelihoods import BITS_OF_LEVELS, Standardised
from tfgen.errors import UserError, require
from tfgen.models.base import distribution
from tfgen.models.base.accumulation import accumulated
from tfgen.models.base.nonfinite import FirstBad
from tfgen.verbs import graphs, verbs_of

# Papers' loss weights are for images in [-1, 1], where distances are twice those of images in [0, 1].
SPAN = 2.0


def batch_images(batch):
    """The images of a batch that is `x`, `(x, y)` or a nest of tensors."""
    return keras.tree.flatten(batch)[0]


def images_and_labels(batch, num_classes):
    """(images, labels or None) of a batch, for a model of `num_classes` classes; None: unconditional.

    Raises:
        UserError: for a conditional model without labels.
    """
    pair = isinstance(batch, (tuple, list))
    require(pair or not num_classes,
            f"a model of num_classes={num_classes} expects batches (images, labels), received images alone")
    return (batch[0], batch[1] if num_classes else None) if pair else (batch, None)


def unpack_keras_batch(data):
    """Undoes Keras' packing: `train_on_batch` pads (x, y, sample_weight) with None; returns the batch as the dataset
    yielded it."""
    if isinstance(data, (tuple, list)):
        given = [part for part in data if part is not None]
        return given[0] if len(given) == 1 else tuple(given)
    return data


class GenerativeModel(keras.Model):
    """A model with one optimizer whose objective is a dictionary of named losses.

    A subclass defines `compute_losses(batch, training)`, `loss_names`, and the verbs
    that it supports. `compile` takes an optimizer and Keras' flags; everything that defines the
    objective is an argument of `__init__`.

    Attributes:
        loss_names: names of the losses that `compute_losses` returns in addition to `"loss"`.
        image_shape: (height, width, channels) of one image.
        latent_shape: shape of one latent; only for models with latents.
        source_shape: (height, width, channels) of a translation source; only for models with `translate`.
        augmentation: a layer with `seeded(images, seeds)` for training images, or None; a part of the recipe that the
            data stream applies: `dataset.train(…, augment=model.augmentation)`.
        batches_per_step: number of batches that one training step consumes.
        accumulate: number of parts that a training step divides each update's batch into, for less memory.
    """

    loss_names = ()
    batches_per_step = 1
    augmentation = None
    accumulate = 1

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.trackers = [keras.metrics.Mean(name=name) for name in self.tracked_names()]
        self.guard = FirstBad(self.tracked_names())

    @property
    def compute_dtype(self):
        """That of the variables: layers compute as their policies say, but neither the model's inputs nor what reads weights
        without being a layer, such as a bijector. Keras would have both in half precision when the model is called."""
        return self.variable_dtype

    @property
    def input_dtype(self):
        return self.variable_dtype

    def last_stage_begins(self, total):
        """The training step with which the last stage begins, see `Stages`: what a recipe is judged by, it trains from there
        on."""
        return 0

    def tracked_names(self):
        """Names of the values that a training step reports."""
        return ("loss", *self.loss_names)

    def compute_losses(self, batch, training):
        """{"loss": scalar to minimise, …}: means over the batch, with one entry per name in `loss_names`."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_losses(batch, training)")

    @property
    def bits_offset(self):
        """Offset of bits/dim for 8-bit images: log2(255) for a density on [0, 1], 0 for a probability of grey levels."""
        likelihood = getattr(self, "likelihood", None)
        return BITS_OF_LEVELS if likelihood is None else likelihood.bits_offset

    @property
    def scaling(self):
        """(location, scale) by which a model of vectors standardises them, see `tfgen.data.DataSpec`; None of others."""
        likelihood = getattr(self, "likelihood", None)
        return (likelihood.location, likelihood.scale) if isinstance(likelihood, Standardised) else None

    @property
    def weights_sampled(self):
        """Which weights the verbs use, in words: an average of them if there is one (`ema`)."""
        decay = getattr(self, "ema", 0.0)
        return f"running average with decay {decay:g}" if decay else "those of the last step"

    @property
    def normalised(self):
        """Whether `log_prob` belongs to a normalised distribution of grey levels, see `tfgen.distributions.Likelihood`."""
        likelihood = getattr(self, "likelihood", None)
        return likelihood is None or likelihood.normalised

    def verb_options(self, name):
        """{input name: Option} of the optional inputs of the verb `name`."""
        return {}

    def call(self, inputs, training=False):
        """Applies the model as a Keras layer: its first verb in `verbs.table.FORWARD`. `predict` calls it.

        Args:
            inputs: a batch of the verb's input, or a tuple of its inputs and options in order, such as (z, label).
                Options are clipped to their ranges.
            training: ignored; verbs always run in inference mode.

        Raises:
            UserError: for inputs of another shape or number, and for a model without such a verb.
        """
        return graphs.apply(self, *graphs.forward(self, inputs))

    def predict(self, x, *arguments, **options):
        """Keras' `predict` with the outputs of `call`; raises the errors of `call` before any computation."""
        if hasattr(x, "shape") or isinstance(x, (tuple, list)):
            graphs.forward(self, x)
        return super().predict(x, *arguments, **options)

    def export(self, filepath, format="tf_saved_model", verbose=None, about=None):
        """Writes a verified SavedModel with one signature per verb, as `tfgen export` does.

        Args:
            filepath: folder of the SavedModel; replaces an existing SavedModel.
            format: `"tf_saved_model"`.
            verbose: whether to print the path; None means False.
            about: metadata stored with the signatures, a dict of JSON types.

        Raises:
            UserError: for another format, or a folder with other contents.
            Failure: if outputs of the SavedModel differ from those of the model.
        """
        from tfgen.serving import export  # it is built on Keras models, and verbs on neither

        export.export_to(self, filepath, format, about)
        if verbose:
            print(f"wrote {filepath}: {', '.join(verbs_of(self))}")

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
        distribution.prepare(self)

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
        """Variables that a training step updates: by default all trainable weights."""
        return self.trainable_variables

    def total_loss(self, losses):
        """The loss of `compute_losses` plus the losses of layers (regularisers, `add_loss`)."""
        return losses["loss"] + layer_losses([self])

    def train_step(self, data):
        data, variables = unpack_keras_batch(data), self.step_variables

        def gradients_of(part):
            with tf.GradientTape() as tape:
                losses = self.compute_losses(part, training=True)
                losses["loss"] = self.total_loss(losses)
                scaled = self.scaled(self.optimizer, losses["loss"])
            return losses, tape.gradient(scaled, variables)

        losses, gradients = self.accumulated(gradients_of, data, variables)
        self.optimizer.apply_gradients(zip(gradients, variables))
        return self.update_trackers(losses, data)

    def scaled(self, optimizer, loss):
        """A loss as its gradient is taken, scaled for mixed precision; gradients of replicas are summed, so that each takes
        its share."""
        return optimizer.scale_loss(loss / self.distribute_strategy.num_replicas_in_sync)

    def accumulated(self, gradients_of, batch, variables):
        """Losses and gradients of a batch in `accumulate` parts, see `models.base.accumulation`; gradients are sums over
        the replicas."""
        losses, gradients = accumulated(gradients_of, batch, self.accumulate, self.tracked_names(), variables)
        return losses, replicas.summed(gradients)

    def on_replicas(self, step, data):
        """`distribution.run` of a step."""
        return distribution.run(self, step, data)

    def make_train_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = distribution.train_function(self)
        return self.train_function

    def make_test_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = distribution.test_function(self)
        return self.test_function

    def test_step(self, data):
        data = unpack_keras_batch(data)
        losses = self.compute_losses(data, training=False)
        losses["loss"] = self.total_loss(losses)
        return self.update_trackers(losses, data)

    def update_trackers(self, losses, data):
        """Adds a batch's losses, weighted by the batch size, to the means of the epoch; returns the means."""
        rows = tf.shape(batch_images(data))[0]
        for tracker in self.trackers:
            tracker.update_state(losses[tracker.name], sample_weight=rows)
        self.guard.update_state([losses[tracker.name] for tracker in self.trackers])
        return self.means()

    def means(self):
        """{name: scalar}: means over the rows since the epoch began."""
        return {metric.name: metric.result() for metric in self.metrics if metric is not self.guard}


def layer_losses(networks):
    """Sum of the losses that the layers of `networks` add (regularisers, `add_loss`): float32 scalar, 0 if there are none.

    Keras keeps only the `add_loss` values of a network's last call.
    """
    found = [tf.cast(loss, tf.float32) for network in networks for loss in network.losses]
    return tf.add_n(found) if found else tf.zeros(())

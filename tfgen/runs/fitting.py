"""The one `fit`: a recipe's model on a data set. Runs, trials of a search and trainings for a budget call it."""

import math

import keras
import tensorflow as tf

from tfgen.data.order import ORDER
from tfgen.data.streams import Portion


def shared(strategy, stream, parts=1):
    """A stream of batches for the replicas of a strategy, each its own rows.

    Args:
        stream: function of a `Portion`, or of None for whole batches, -> `tf.data.Dataset`.
        parts: of a batch, see `Portion`.
    """
    if strategy.num_replicas_in_sync == 1:
        return stream(None)

    def of_process(context):
        count = context.num_replicas_in_sync // context.num_input_pipelines
        return stream(Portion(context.num_replicas_in_sync, context.input_pipeline_id * count, count, parts))

    # Where replicas are of one process, a stream for each. The one that they would share is handed on by iterators of
    # TensorFlow's own, which it tunes: each of them may wait for its tuning thread when it ends, see `streams.untuned`.
    each = tf.distribute.InputOptions(
        experimental_fetch_to_device=False,
        experimental_replication_mode=tf.distribute.InputReplicationMode.PER_REPLICA)
    one_process = isinstance(strategy, tf.distribute.MirroredStrategy)
    return strategy.distribute_datasets_from_function(of_process, each if one_process else None)


class Part(keras.callbacks.CallbackList):
    """The callbacks of a training that another `fit` goes on with: its end is not theirs, which is `end`."""

    def on_train_end(self, logs=None):
        pass

    def end(self):
        super().on_train_end()


def fit(model, dataset, recipe, batch_size, epochs, seed=0, done=0, steps=None, order=ORDER, validate=True,
        steps_per_execution=16, callbacks=(), verbose=0):
    """Trains a model of a recipe with `model.fit`.

    Training batch k is a pure function of (seed, k): a training that continues at step `done` sees the batches that an
    uninterrupted one sees from there on, after it has completed the interrupted epoch.

    Args:
        model: a compiled model of the recipe.
        dataset: a `tfgen.data.Dataset`.
        recipe: the `Recipe`, which determines the data view.
        batch_size: images per optimizer update. A model with `critic_steps=k` consumes `k * batch_size` images per
            training step.
        epochs: total number of epochs, those before `done` included.
        seed: seed of the data order and of the noise of the data stream.
        done: number of training steps that the model has made.
        steps: training steps per epoch; None: those of one pass over the training data.
        order: version of the shuffling of the training data, see `Dataset.train`.
        validate: whether to compute the losses of the validation split after each epoch.
        steps_per_execution: upper bound for Keras' `steps_per_execution`. The largest value that divides the number of
            steps per epoch is used.
        callbacks, verbose: as in `model.fit`.

    Returns:
        Keras' `History` of the last epochs, or None if `done` is at the end already: callbacks then see a training without
        epochs.
    """
    rows = batch_size * model.batches_per_step
    steps = steps or dataset.steps(rows)
    # If steps_per_execution does not divide the steps per epoch, Keras runs past the end of the epoch.
    whole = math.gcd(steps, done % steps)
    model.steps_per_execution = max(n for n in range(1, steps_per_execution + 1) if whole % n == 0)
    view, held_out = recipe.views(dataset, model)
    strategy = model.distribute_strategy
    validation = shared(strategy, lambda portion: dataset.batches(
        "validation", batch_size, held_out, portion=portion)) if validate else None
    history = None
    while done < steps * epochs:
        # First complete the interrupted epoch with its remaining batches.
        rest = steps - done % steps
        last, watching = epochs, list(callbacks)
        if rest < steps and done // steps + 1 < epochs:
            last = done // steps + 1
            watching = Part(watching, add_history=True, add_progbar=bool(verbose), model=model, verbose=verbose, epochs=last,
                            steps=rest)
        batches = shared(strategy, lambda portion, done=done: dataset.train(
            rows, seed, view, done, model.augmentation, order, portion=portion), model.batches_per_step * model.accumulate)
        history = model.fit(batches, epochs=last, initial_epoch=done // steps, steps_per_epoch=rest,
                            validation_data=validation, callbacks=watching, verbose=verbose, shuffle=False)
        if model.stop_training:
            break
        done = last * steps
    if history is None:
        # Killed between its last epoch and what comes at the end of a training.
        watching = Part(list(callbacks), model=model, epochs=epochs)
        watching.on_train_begin()
    if isinstance(watching, Part):
        watching.end()
    return history

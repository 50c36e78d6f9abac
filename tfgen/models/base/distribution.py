"""Training on several replicas of a `tf.distribute` strategy: a step and its sums, and the functions that `fit` calls."""

import keras
import tensorflow as tf

from tfgen import optimizers
from tfgen.errors import require


def prepare(model):
    """Sets a compiled model to compute what one device would compute on the whole batch.

    Batch normalisation takes its statistics from the whole batch. Optimizers get gradients that are summed already
    (`GenerativeModel.accumulated`), so that norms, and clipping by them, are those of the whole batch; Keras clips before it
    sums.

    Raises:
        UserError: if `keras.distribution` is in force, which Keras ignores on TensorFlow.
    """
    require(keras.distribution.distribution() is None,
            "expected a strategy of tf.distribute, received a keras.distribution, which Keras ignores on TensorFlow (it "
            "trains on one device): build the model in a strategy's scope, or use `tfgen train --strategy mirrored`")
    several = model.distribute_strategy.num_replicas_in_sync > 1
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = several
    for name in ("optimizer", "critic_optimizer"):
        if several and hasattr(model, name):
            optimizers.inner(getattr(model, name))._all_reduce_sum_gradients = list


def run(model, step, data):
    """A step of every replica: float32 (number of values,), its reported values, means over the rows of all replicas.

    Args:
        step: function batch -> {name: scalar}, means over the rows since the epoch began, called in each replica.
        data: a batch of a distributed data set.
    """
    strategy = model.distribute_strategy

    def summed(data):
        values = [tf.cast(value, tf.float32) for value in step(data).values()]
        return tf.stack([*values, tf.ones(())]) * tf.convert_to_tensor(model.trackers[0].count)

    *totals, rows = tf.unstack(strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(summed, args=(data,)), axis=None))
    return tf.stack(totals) / rows


def named(model, values):
    """{name: scalar} of the values of `run`."""
    names = [metric.name for metric in model.metrics if metric is not model.guard]
    return dict(zip(names, tf.unstack(values, len(names)), strict=True))


def train_function(model):
    """The function iterator -> {name: scalar} of `steps_per_execution` training steps, in one graph."""
    @tf.autograph.experimental.do_not_convert
    def steps(iterator):
        def body(step, _):
            return step + 1, model.on_replicas(model.train_step, next(iterator))

        count = len(model.metrics) - 1
        _, values = tf.while_loop(lambda step, _: step < model.steps_per_execution, body, (0, tf.zeros(count)),
                                  parallel_iterations=1)
        return named(model, values)

    return tf.function(steps, reduce_retracing=True)


def test_function(model):
    """The function iterator -> {name: scalar} of up to `steps_per_execution` steps of validation, in one graph.

    It ends the pass where no batch is left.
    """
    @tf.function(reduce_retracing=True)
    @tf.autograph.experimental.do_not_convert
    def steps(iterator):
        names = []  # of what a step of validation reports, which may be less than one of training

        def step(batch):
            names[:] = model.distribute_strategy.run(model.test_step, args=(batch,))
            return True

        def body(number, _):
            batch = iterator.get_next_as_optional()
            return number + 1, tf.cond(batch.has_value(), lambda: step(batch.get_value()), lambda: False)

        _, more = tf.while_loop(lambda number, more: more & (number < model.steps_per_execution), body, (0, True),
                                parallel_iterations=1)
        means = run(model, lambda _: {name: mean for name, mean in model.means().items() if name in names}, None)
        return more, dict(zip(names, tf.unstack(means, len(names)), strict=True))

    def function(iterator):
        more, means = steps(iterator)
        if not more:
            # Of a StopIteration Keras would warn that data was missing.
            model.stop_evaluating = True
        return means

    return function

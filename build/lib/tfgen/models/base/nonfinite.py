"""Graph-side metric that records the first step with a NaN or infinite loss."""

import keras
import tensorflow as tf


class FirstBad(keras.metrics.Metric):
    """Records, within the graph, the first step of an epoch with a NaN or infinite loss.

    Args:
        names: names of the losses, in the order in which `update_state` receives them.
    """

    def __init__(self, names, **kwargs):
        super().__init__(name="first_bad", dtype="float32", **kwargs)
        self.names = list(names)
        self.steps, self.step, self.which = (
            self.add_variable((), "zeros", dtype="int32", name=name) for name in ("steps", "step", "which"))

    def update_state(self, losses):
        """losses: one scalar per name."""
        bad = tf.logical_not(tf.math.is_finite(tf.stack([tf.cast(loss, tf.float32) for loss in losses])))
        self.steps.assign_add(1)
        first = tf.logical_and(tf.reduce_any(bad), tf.equal(self.step, 0))
        self.which.assign(tf.where(first, tf.argmax(bad, output_type=tf.int32), self.which))
        self.step.assign(tf.where(first, self.steps, self.step))

    def result(self):
        """The step within the epoch, counted from 1; 0 if all losses were finite."""
        return tf.convert_to_tensor(self.step)

    def found(self):
        """(name of the loss, step within the epoch), or None; with several replicas, the earliest step."""
        met = [(step, which) for step, which in zip(on_replicas(self.step), on_replicas(self.which)) if step]
        return (self.names[min(met)[1]], min(met)[0]) if met else None


def on_replicas(variable):
    """Values of an integer variable: one, or one per replica of a `tf.distribute` strategy."""
    held = variable.value
    return [int(one) for one in getattr(held, "values", [held])]

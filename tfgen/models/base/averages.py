"""Running averages of weights, with which models sample."""

import keras
import tensorflow as tf
from keras import ops


def copy_of(network):
    """A copy of a network that no optimizer updates."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


def move_towards(copy, network, rate):
    """copy += rate * (network - copy) for weights and statistics, so that these are of such weights; counters are copied."""
    for target, source in zip(copy.variables, network.variables):
        target.assign(target + ops.cast(rate, target.dtype) * (source - target)
                      if keras.backend.is_float_dtype(source.dtype) else source)


def decay_at(decay, step):
    """min(decay, (step + 1) / (step + 10)): a slow average would for long be mostly the first weights."""
    step = tf.cast(step, tf.float32)
    return tf.minimum(decay, (step + 1.0) / (step + 10.0))

"""Replicas of a model on several devices (`tf.distribute`): each computes its share of the rows of a batch.

Noise of a row is that of its place in the whole batch, so that a training does not depend on the number of replicas. Within
one replica, and outside of a strategy, everything here is what its name says of a whole batch.
"""

import keras
import tensorflow as tf


def current():
    """The `tf.distribute` context of the replica that is computed, if it is one of several; else None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def uniform(shape, seed, minval=0.0, maxval=1.0, dtype=None):
    """`keras.random.uniform` of rows of a batch: the first dimension of `shape` is that of the rows."""
    return _rows(lambda whole: keras.random.uniform(whole, minval, maxval, dtype, seed), shape)


def normal(shape, seed):
    """`keras.random.normal` of rows of a batch, see `uniform`."""
    return _rows(lambda whole: keras.random.normal(whole, seed=seed), shape)


def dropout(x, rate, seed):
    """`keras.random.dropout` of rows of a batch (B, …), whose noise is that of float32 in any precision."""
    if current() is None and x.dtype == tf.float32:
        return keras.random.dropout(x, rate, seed=seed)
    return x * tf.cast(_rows(lambda whole: keras.random.dropout(tf.ones(whole), rate, seed=seed), tf.shape(x)), x.dtype)


def _rows(draw, shape):
    """The replica's rows of what `draw(shape of the whole batch)` gives."""
    context = current()
    if context is None:
        return draw(shape)
    count, sides = shape[0], shape[1:]
    whole = context.num_replicas_in_sync * count
    whole = tf.concat([[whole], sides], 0) if tf.is_tensor(shape) else (whole, *sides)
    return ours(draw(whole), count)


def places(rows):
    """(places of the replica's rows in the whole batch, int32 (rows,); number of rows of the whole batch)."""
    context = current()
    if context is None:
        return tf.range(rows), rows
    return context.replica_id_in_sync_group * rows + tf.range(rows), context.num_replicas_in_sync * rows


def summed(values):
    """Sums over the replicas of a nest of tensors, None left as it is; gradients pass."""
    context = current()
    if context is None:
        return values
    flat = keras.tree.flatten(values)
    known = [one for one in flat if one is not None]
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, known) if known else [])
    return keras.tree.pack_sequence_as(values, [None if one is None else next(sums) for one in flat])


def mean(values):
    """Means over the replicas of a nest of tensors; gradients pass."""
    context = current()
    if context is None:
        return values
    return keras.tree.map_structure(lambda total: total / context.num_replicas_in_sync, summed(values))


def gathered(x):
    """The rows of the whole batch, from those of the replica (B, …); gradients pass."""
    context = current()
    return x if context is None else context.all_gather(x, axis=0)


def ours(x, rows):
    """The replica's rows (rows, …) of the whole batch x."""
    context = current()
    return x if context is None else x[context.replica_id_in_sync_group * rows:][:rows]


def moments(x, axes):
    """Mean and variance of the whole batch over `axes`, which the rows are among."""
    average, variance = tf.nn.moments(x, axes)
    if current() is None:
        return average, variance
    whole = mean(average)
    return whole, mean(variance + tf.square(average - whole))

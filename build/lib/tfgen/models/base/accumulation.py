"""Gradients of a batch too large for the memory, one part at a time."""

import keras
import tensorflow as tf

from tfgen import replicas
from tfgen.errors import require


def parts_of(batch, count):
    """Function i -> the i-th of `count` equal parts of a batch, a nest of tensors (B, …).

    Raises:
        UserError: if B is not a multiple of `count`.
    """
    rows = keras.tree.flatten(batch)[0].shape[0]
    require(rows is not None and rows % count == 0, f"accumulate={count} expects batches of a fixed number of images, a "
                                                    f"multiple of {count}, received {rows}")
    parts = keras.tree.map_structure(lambda x: tf.reshape(x, (count, rows // count, *x.shape[1:])), batch)
    return lambda i: keras.tree.map_structure(lambda x: x[i], parts)


def accumulated(gradients_of, batch, count, names, variables):
    """Losses and gradients of a batch: their means over its parts, computed one after another on the device.

    For losses that are means over images these are the losses and gradients of the whole batch; batch normalisation and
    other statistics are those of a part.

    Args:
        gradients_of: function part -> ({name: scalar}, list of a tensor or None per variable).
        batch: nest of tensors (B, …).
        count: number of parts, a divisor of B; 1 calls the function once.
        names: the names that losses may have.
        variables: the variables of the gradients.

    Returns:
        What `gradients_of` returns, the gradients as dense tensors.
    """
    if count == 1:
        losses, gradients = gradients_of(batch)
        # An embedding's have a row per image, of which several may be of one weight: Keras' Adam and its clipping would
        # square each of them, in place of their sum.
        return losses, [None if one is None else tf.convert_to_tensor(one) for one in gradients]
    part = parts_of(batch, count)
    if replicas.current():
        # Replicas must not meet, as layers with common statistics do, within a loop of the graph.
        return unrolled(gradients_of, map(part, range(count)), count)
    found = {}  # What the loop's body finds out while it is traced.

    def body(i, sums, gradients):
        losses, made = gradients_of(part(i))
        found.update(names=list(losses), reached=[one is not None for one in made])
        sums = [total + tf.cast(losses.get(name, 0.0), tf.float32) for name, total in zip(names, sums)]
        gradients = [total if one is None else total + tf.convert_to_tensor(one) for total, one in zip(gradients, made)]
        return i + 1, sums, gradients

    start = [tf.zeros(()) for _ in names], [tf.zeros(v.shape, v.dtype) for v in variables]
    _, sums, gradients = tf.while_loop(lambda i, *_: i < count, body, (0, *start), parallel_iterations=1)
    losses = {name: total / count for name, total in zip(names, sums) if name in found["names"]}
    return losses, [total / count if reached else None for total, reached in zip(gradients, found["reached"])]


def unrolled(gradients_of, parts, count):
    """What `accumulated` returns, from a graph that has each part's operations, one after another."""
    losses, gradients = None, None
    for part in parts:
        with tf.control_dependencies([one for one in gradients or () if one is not None]):
            found, made = gradients_of(part)
            made = [None if one is None else tf.convert_to_tensor(one) for one in made]
            if losses is not None:
                found = {name: value + losses[name] for name, value in found.items()}
                made = [new if old is None else old + new for old, new in zip(gradients, made)]
        losses, gradients = found, made
    return ({name: value / count for name, value in losses.items()},
            [None if one is None else one / count for one in gradients])

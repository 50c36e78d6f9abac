"""Slices whose gradients are fast."""

import tensorflow as tf


def sliced(x, axis, start, stop):
    """The part start … stop - 1 of an axis of known length; a negative stop counts from the end, as in Python.

    Its gradient pads with zeros. That of a Python slice (StridedSliceGrad) is not vectorised on a CPU and takes ten times as
    long: a quarter of the operations' time of a PixelCNN's step.
    """
    length = x.shape[axis]
    begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
    begin[axis], size[axis] = start, (stop + length if stop < 0 else stop) - start
    return tf.slice(x, begin, size)

"""Differential operators of a field: `(field, coordinates (B, D)) -> (B, K)`, differentiable in the field's weights.

A field is a function of coordinates (B, D) that gives (B, C), row by row.
"""

import tensorflow as tf

from tfgen.serialization import serializable


@serializable
class Value:
    """The field itself, (B, C)."""

    # Further quantities that training reports.
    readings = ("psnr_db",)

    def __init__(self):
        pass

    def __call__(self, field, x):
        return field(x)


@serializable
class Gradient:
    """Derivatives d field_c / d x_d, (B, C D): those of the first value first."""

    readings = ()

    def __init__(self):
        pass

    def __call__(self, field, x):
        return tf.concat(gradients(field, x), axis=-1)


@serializable
class Laplacian:
    """Sums of second derivatives, sum_d d^2 field_c / d x_d^2, (B, C)."""

    readings = ()

    def __init__(self):
        pass

    def __call__(self, field, x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            slopes = [tf.unstack(part, axis=-1) for part in gradients(field, x)]
        sums = [sum(tape.gradient(slope, x)[:, axis] for axis, slope in enumerate(part)) for part in slopes]
        return tf.stack(sums, axis=-1)


def gradients(field, x):
    """[d field_c / d x (B, D) for each value c]."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values = tf.unstack(field(x), axis=-1)
    return [tape.gradient(value, x) for value in values]

"""How fast the machine computes: as many floating-point operations as a step has, as a product of matrices or a convolution.

TensorFlow counts a step's operations: two per multiply-add of products and convolutions and of their gradients, one per
value of most others. Updates of weights by Keras' optimizers are counted, reading data is not.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass
class Limit:
    """A function without arguments that computes about `flops` floating-point operations."""

    flops: float
    run: Callable

    def __call__(self):
        return self.run()


def repeated(flops, once, x, each):
    """A `Limit`: x <- once(x), `each` operations a time, in one graph."""
    times = max(1, round(flops / each))

    @tf.function
    def run():
        y = x
        for _ in tf.range(times):
            y = once(y)
        return y

    return Limit(times * each, lambda: run().numpy())


def matrix_product(flops, side=1024):
    """Products of square float32 matrices."""
    matrix = tf.random.normal((side, side), stddev=side**-0.5)
    return repeated(flops, lambda x: matrix @ x, matrix, 2 * side**3)


def wide_convolution(flops, rows=16, side=14, channels=128):
    """3x3 convolutions of `rows` images (side, side, channels)."""
    kernel = tf.random.normal((3, 3, channels, channels), stddev=(9 * channels) ** -0.5)
    x = tf.random.normal((rows, side, side, channels))
    return repeated(flops, lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), x, 2 * rows * side**2 * 9 * channels**2)


def step_flops(model, batch):
    """Floating-point operations of a training step on a batch of images, an array (B, H, W, C)."""
    step = tf.function(model.train_step, autograph=False)
    graph = step.get_concrete_function(tf.TensorSpec(batch.shape, batch.dtype)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def limits(model, images, rows):
    """{"matrix_product", "wide_convolution"}: as much as training steps on all of the images, `rows` of them a step."""
    flops = step_flops(model, images[:rows]) * (len(images) // rows)
    return {"matrix_product": matrix_product(flops), "wide_convolution": wide_convolution(flops)}

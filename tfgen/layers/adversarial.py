"""Layers, constraints and regularisers of generators and critics that Keras does not have."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import UserError
from tfgen.serialization import serializable


@serializable
class MinibatchStdDev(keras.layers.Layer):
    """Appends one channel: the standard deviation over a group of images, averaged over positions and channels.

    It lets a critic measure the diversity of a batch (Karras et al., 2018, section 3). In float32 at any precision: the root
    of images that are equal at a position has a gradient through 1e-8 alone, which is 0 in float16.

    Args:
        group: maximum number of images per group; the largest divisor of the batch size up to it is used.
    """

    def __init__(self, group=4, **kwargs):
        super().__init__(**kwargs)
        self.group = group

    def call(self, x):
        rows = tf.shape(x)[0]
        planes = self.planes(tf.cast(replicas.gathered(x), tf.float32))
        return tf.concat([x, tf.cast(replicas.ours(planes, rows), x.dtype)], axis=-1)

    def planes(self, x):
        """The channel of a whole batch: (B, H, W, 1)."""
        rows = tf.shape(x)[0]
        sizes = tf.range(1, self.group + 1)
        group = tf.reduce_max(tf.where(rows % sizes == 0, sizes, 1))
        # (group, groups, H, W, C)
        grouped = tf.reshape(x, tf.concat([[group, rows // group], tf.shape(x)[1:]], 0))
        deviation = tf.sqrt(tf.math.reduce_variance(grouped, axis=0) + 1e-8)
        mean = tf.reduce_mean(deviation, axis=[1, 2, 3])
        return tf.tile(mean, [group])[:, None, None, None] * tf.ones_like(x[..., :1])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


@serializable
class Scale(keras.layers.Layer):
    """gamma * x with one learned scalar gamma, initially zero, so that a new block starts as the identity.

    Args:
        start: initial gamma.
    """

    def __init__(self, start=0.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.gamma = self.add_weight((), keras.initializers.Constant(self.start), name="gamma")

    def call(self, x):
        return self.gamma * x


@serializable
class Clip(keras.constraints.Constraint):
    """A constraint: every weight stays in [-limit, limit] (Arjovsky et al., 2017).

    Args:
        limit: > 0.
    """

    def __init__(self, limit=0.01):
        if limit <= 0:
            raise UserError(f"Clip(limit) expects a positive number, received {limit}")
        self.limit = limit

    def __call__(self, weight):
        return ops.clip(weight, -self.limit, self.limit)


@serializable
class OffDiagonalOrthogonality(keras.regularizers.Regularizer):
    """weight * ||W^T W * (1 - I)||_F^2, W the kernel as a matrix (inputs, outputs) (Brock et al., 2019, equation 3).

    Args:
        weight: factor, >= 0.
    """

    def __init__(self, weight=1e-4):
        self.weight = weight

    def __call__(self, kernel):
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        gram = ops.matmul(ops.transpose(matrix), matrix)
        return self.weight * ops.sum(ops.square(gram * (1.0 - ops.eye(gram.shape[0]))))


def depends_on_batch(network):
    """Whether what a network makes of an image depends on its batch, by batch statistics or by noise, whose values are those
    of a place in the batch: real and generated images must not share one."""
    return any(isinstance(layer, (keras.layers.BatchNormalization, MinibatchStdDev, keras.layers.Dropout))
               for layer in network._flatten_layers())

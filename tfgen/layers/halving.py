"""A convolution and means of 2x2 places in one step."""

import keras
import tensorflow as tf
from keras import layers, ops

from tfgen.layers.doubling import sums


@keras.saving.register_keras_serializable(package="tfgen")
class HalvingConv2D(layers.Conv2D):
    """A convolution (kernel of an odd side k, zeros around), then means of 2x2 places; an activation comes last.

    Together they are a convolution of stride 2, its kernel of side k + 1 the means of 2x2 neighbours:

        y[i] = sum over p of x[2 i + p - (k - 1) / 2] (w * ones(2, 2) / 4)[p],

    (k + 1)^2 / (4 k^2) of the multiply-adds, 0.44 for k = 3 (Karras et al., 2018, in their code). Features of an odd side,
    whose last means are of fewer places, pass both steps.

    Args:
        filters: channels of the output.
        kernel_size: k, odd.
        options: of `keras.layers.Conv2D`.
    """

    def __init__(self, filters, kernel_size, **options):
        super().__init__(filters, kernel_size, **{"padding": "same"} | options)

    def call(self, x):
        side, (inputs, outputs) = self.kernel_size[0], self.kernel.shape[2:]
        if x.shape[1] % 2 or x.shape[2] % 2:
            made = tf.nn.conv2d(x, ops.cast(self.kernel, x.dtype), 1, "SAME")
            made = ops.average_pool(made, 2, 2, padding="same")
        else:
            # One product, as in `DoublingConv2D`; here the kernel is not reversed.
            means = ops.cast(sums(side)[:, ::-1] / 4.0, x.dtype)
            kernel = ops.matmul(means, ops.reshape(ops.cast(self.kernel, x.dtype), (side**2, -1)))
            made = tf.nn.conv2d(x, ops.reshape(kernel, (side + 1, side + 1, inputs, outputs)), 2, "SAME")
        return self.activation(tf.nn.bias_add(made, ops.cast(self.bias, x.dtype)) if self.use_bias else made)

    def compute_output_shape(self, x_shape):
        return x_shape[0], -(-x_shape[1] // 2), -(-x_shape[2] // 2), self.filters

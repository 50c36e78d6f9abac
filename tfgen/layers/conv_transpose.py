"""Keras' transposed convolution, faster in training where it gives few channels."""

import keras
import tensorflow as tf
from keras import layers, ops

from tfgen.layers.slices import sliced

# Outputs of at most so many channels are added up from planes.
FEW = 4


def folded(taps, axis):
    """The even and the odd places of an axis, (2, …, n, …), from the four taps of a kernel, (4, …, n, …).

    Tap p of place i lands on place 2 i + p - 1, so that

        even[m] = tap_1[m] + tap_3[m - 1],        odd[m] = tap_2[m] + tap_0[m + 1].
    """
    first, second, third, fourth = tf.unstack(taps)

    def moved(part, before):
        """Planes that begin with a zero and lose the last place, or the reverse."""
        pads = [[0, 0] for _ in range(part.shape.rank)]
        pads[axis] = [1, 0] if before else [0, 1]
        length = part.shape[axis]
        return tf.pad(sliced(part, axis, 0, length - 1) if before else sliced(part, axis, 1, length), pads)

    return tf.stack([second + moved(fourth, True), third + moved(first, False)])


def planes(x, kernel):
    """The transposed convolution of stride 2, "same", of x (B, h, w, C) with a kernel (4, 4, filters, C).

    One product of matrices gives each place's contribution to each tap, as planes (B, h, w) per tap, which are added where
    they meet.
    """
    height, width, channels = x.shape[1:]
    filters = kernel.shape[2]
    taps = tf.matmul(tf.reshape(kernel, (-1, channels)), tf.reshape(x, (-1, channels)), transpose_b=True)
    taps = tf.reshape(taps, (4, 4, filters, -1, height, width))
    rows = tf.transpose(folded(taps, 3), (1, 0, 2, 3, 4, 5))  # (4 columns' taps, 2, filters, B, h, w)
    both = folded(rows, 4)  # (2 of columns, 2 of rows, filters, B, h, w)
    return tf.reshape(tf.transpose(both, (3, 4, 1, 5, 0, 2)), (-1, 2 * height, 2 * width, filters))


@keras.saving.register_keras_serializable(package="tfgen")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Keras' layer of this name; kernels of 4x4 with stride 2 and at most four filters train by a product of matrices.

    oneDNN's kernels compute channels in blocks, most of which a layer of one channel leaves empty. In inference, and so in
    exports, it is Keras' operation.
    """

    def call(self, x, training=None):
        few = (self.filters <= FEW and self.padding == "same" and self.kernel_size == (4, 4)
               and tuple(self.strides) == (2, 2) and tuple(self.dilation_rate) == (1, 1) and None not in x.shape[1:])
        if not (training and few):
            return super().call(x)
        made = planes(x, ops.cast(self.kernel, x.dtype))
        return self.activation(tf.nn.bias_add(made, ops.cast(self.bias, x.dtype)) if self.use_bias else made)

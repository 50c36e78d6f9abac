"""Masked autoregressive flows."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.distributions.bijectors.base import Bijector, check_event, sum_event
from tfgen.errors import require
from tfgen.serialization import serializable


@serializable
class MaskedAutoregressive(Bijector):
    """z_i = (x_i - mean_i) exp(-alpha_i), mean_i and alpha_i from x_1 … x_(i-1) (Papamakarios et al., 2017).

    A MADE (Germain et al., 2015) computes all of them in one pass; log |det dz/dx| = -sum_i alpha_i. The hidden units'
    degrees 1 … D - 1 ascend in equal shares: a unit of degree m sees inputs 1 … m. `inverse` finds x value by value, yet
    computes each connection once, as one pass does: when x_i is known, only the units of degree i are evaluated.

    Args:
        units: widths of the hidden layers, at least one.
        activation: Keras activation of the hidden layers.
        reverse: the order of the values, x_D first; layers of a flow alternate.
        kernel_regularizer: of all kernels, or None.
        bound: > 0; alpha = bound tanh(a / bound) of the network's a, which of a ReLU network grows without limit far from
            the data, where exp(-alpha) would overflow; None, as in the paper, for alpha = a.

    Raises:
        UserError: for another bound.
    """

    def __init__(self, units=(1024,), activation="relu", reverse=False, kernel_regularizer=None, bound=None, **kwargs):
        super().__init__(**kwargs)
        require(bound is None or bound > 0, f"bound expects None or a number above 0, received {bound}")
        self.units = list(units)
        self.activation = activation
        self.reverse = reverse
        self.kernel_regularizer = kernel_regularizer
        self.bound = bound

    def build(self, input_shape):
        check_event("MaskedAutoregressive", input_shape, 1)
        count = input_shape[-1]
        ranks = np.arange(1, count + 1)[::-1] if self.reverse else np.arange(1, count + 1)
        self.order = np.argsort(ranks).astype(np.int32)
        self.degrees = [1 + np.arange(width) * max(0, count - 1) // width for width in self.units]
        degrees = [ranks, *self.degrees, np.tile(ranks, 2)]
        # (degrees of the inputs, of the outputs) per layer; the mean and alpha of x_i see degrees below i.
        self.seen = [(before, after) for before, after in zip(degrees, degrees[1:])]
        self.seen[-1] = (degrees[-2], degrees[-1] - 1)
        self.kernels, self.biases = [], []
        for index, (before, after) in enumerate(self.seen):
            last = index == len(self.units)
            name = "output" if last else f"hidden_{index}"
            self.kernels.append(self.add_weight((len(before), len(after)), "zeros" if last else "glorot_uniform",
                                                regularizer=self.kernel_regularizer, name=f"{name}_kernel"))
            self.biases.append(self.add_weight((len(after),), "zeros", name=f"{name}_bias"))

    def connections(self):
        """The kernels in use, zero where connections are cut: an output of degree m sees inputs of degree <= m."""
        masks = (tf.constant(before, tf.int32)[:, None] <= tf.constant(after, tf.int32) for before, after in self.seen)
        return [kernel * tf.cast(mask, kernel.dtype) for kernel, mask in zip(self.kernels, masks)]

    def mean_and_alpha(self, x):
        """Two (B, D)."""
        act = keras.activations.get(self.activation)
        *hidden, output = zip(self.connections(), self.biases)
        for kernel, bias in hidden:
            x = act(ops.matmul(x, kernel) + bias)
        mean, a = ops.split(ops.matmul(x, output[0]) + output[1], 2, axis=-1)
        return mean, self.bounded(a)

    def bounded(self, a):
        return a if self.bound is None else self.bound * ops.tanh(a / self.bound)

    def forward_and_log_det(self, x, context=None, training=False):
        mean, alpha = self.mean_and_alpha(x)
        return (x - mean) * ops.exp(-alpha), -sum_event(alpha)

    def units_of_degree(self, degrees, count):
        """Units per degree, (D, n), and whether each is one or a filler."""
        found = [np.flatnonzero(degrees == degree) for degree in range(1, count + 1)]
        most = max(1, *map(len, found))
        units, real = np.zeros((count, most), np.int32), np.zeros((count, most), bool)
        for row, places in enumerate(found):
            units[row, :len(places)], real[row, :len(places)] = places, True
        return tf.constant(units), tf.constant(real)

    def inverse(self, z, context=None):
        count, rows = z.shape[-1], tf.shape(z)[0]
        act = keras.activations.get(self.activation)
        kernels, order = self.connections(), tf.constant(self.order)
        groups = [self.units_of_degree(degrees, count) for degrees in self.degrees]
        # Sums into each layer's units so far, before its activation: (B, width).
        start = tuple(tf.broadcast_to(tf.convert_to_tensor(bias), (rows, bias.shape[0])) for bias in self.biases)

        def step(i, sums, found):
            place = order[i]
            mean, alpha = sums[-1][:, place], self.bounded(sums[-1][:, count + place])
            x = z[:, place] * tf.exp(alpha) + mean
            updated, ready, incoming = [], x[:, None], kernels[0][place][None]
            for total, (units, real), kernel in zip(sums, groups, kernels[1:]):
                total += tf.matmul(ready, incoming)
                updated.append(total)
                ready = act(tf.gather(total, units[i], axis=1)) * tf.cast(real[i], total.dtype)
                incoming = tf.gather(kernel, units[i])
            updated.append(sums[-1] + tf.matmul(ready, incoming))
            return i + 1, tuple(updated), found.write(i, x)

        found = tf.TensorArray(z.dtype, count, element_shape=(z.shape[0],))
        _, _, found = tf.while_loop(lambda i, sums, found: i < count, step, (tf.constant(0), start, found),
                                    maximum_iterations=count, parallel_iterations=1)
        return tf.gather(tf.transpose(found.stack()), np.argsort(self.order).astype(np.int32), axis=1)

"""Layers whose kernel is a function of a stored weight: spectral and weight normalisation, equalised or zero-initialised."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen.layers.doubling import DoublingConv2D
from tfgen.layers.full_precision import at_least_float32
from tfgen.layers.halving import HalvingConv2D


class _Reparameterised:
    """Mixin for Keras layers with a kernel: replaces the kernel by `effective(kernel, training)`, of a kernel in float32."""

    _in_use = None

    @property
    def kernel(self):
        return super().kernel if self._in_use is None else self._in_use

    def call(self, inputs, training=False):
        kernel = super().kernel
        effective = ops.cast(self.effective(at_least_float32(kernel), training), kernel.dtype)
        # A plain attribute: Keras must not track the tensor.
        object.__setattr__(self, "_in_use", effective)
        try:
            return super().call(inputs)
        finally:
            object.__setattr__(self, "_in_use", None)


class _Spectral(_Reparameterised):
    """W / sigma(W), with one power iteration per training call (Miyato et al., 2018, algorithm 1).

    W is the kernel as a matrix (inputs, outputs). The vector u (1, outputs) is a weight without gradient; the
    gradient passes through sigma = v W u^T with u and v held fixed.
    """

    def build(self, input_shape):
        super().build(input_shape)
        outputs = super().kernel.shape[-1]
        self.u = self.add_weight((1, outputs), keras.initializers.RandomNormal(), trainable=False, name="u",
                                 autocast=False)

    def effective(self, kernel, training):
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        held = tf.stop_gradient(ops.convert_to_tensor(matrix))
        u = _unit(ops.cast(self.u, kernel.dtype))
        # v = W u / |W u|, then u = W^T v / |W^T v|.
        v = _unit(ops.matmul(u, ops.transpose(held)))
        if training:
            u = _unit(ops.matmul(v, held))
            self.u.assign(u)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        return kernel / sigma

    # Dense and Conv2D write only the variables that they know.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)

    @property
    def sigma(self):
        """The estimate of the kernel's largest singular value, a scalar."""
        matrix = ops.reshape(super().kernel, (-1, self.u.shape[-1]))
        u = _unit(self.u)
        v = _unit(ops.matmul(u, ops.transpose(matrix)))
        return ops.sum(ops.matmul(v, matrix) * u)


def _unit(row):
    return row / (ops.sqrt(ops.sum(ops.square(row))) + 1e-12)


class _Equalised(_Reparameterised):
    """gain / sqrt(fan in) * W with stored W ~ N(0, 1), which equalises learning rates (Karras et al., 2018)."""

    def __init__(self, *arguments, gain=math.sqrt(2.0), **options):
        super().__init__(*arguments, **{"kernel_initializer": keras.initializers.RandomNormal(0.0, 1.0), **options})
        self.gain = gain

    def effective(self, kernel, training):
        return kernel * (self.gain / math.sqrt(math.prod(kernel.shape[:-1])))

    def get_config(self):
        return super().get_config() | {"gain": self.gain}


register = keras.saving.register_keras_serializable(package="tfgen")


@register
class WeightNormConv2D(_Reparameterised, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with kernel gain W / |W| per filter, gain from 1 (Salimans & Kingma, 2016); arguments as there.

    A `kernel_regularizer` is that of the gain, as the norm of W has no effect.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight((self.filters,), "ones", regularizer=self.kernel_regularizer, name="gain",
                                    autocast=False)
        self._kernel.regularizer = None

    def effective(self, kernel, training):
        norm = ops.sqrt(ops.sum(ops.square(kernel), axis=(0, 1, 2)) + 1e-12)
        return kernel * (ops.cast(self.gain, kernel.dtype) / norm)

    # Conv2D writes only the variables that it knows.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)


@register
class ZeroConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with kernel and bias from 0, its outputs times exp(3 log_scale), log_scale per channel from 0.

    The factor 3 speeds up the learning of the scale (Kingma & Dhariwal, 2018, in their code). Arguments as for `Conv2D`.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{"kernel_initializer": "zeros", **options})

    def build(self, input_shape):
        super().build(input_shape)
        self.log_scale = self.add_weight((self.filters,), "zeros", name="log_scale", autocast=False)

    def call(self, inputs):
        made = super().call(inputs)
        return made * ops.cast(ops.exp(3.0 * ops.convert_to_tensor(self.log_scale)), made.dtype)

    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)


@register
class SpectralDense(_Spectral, keras.layers.Dense):
    """`keras.layers.Dense` with spectral normalisation; arguments as there."""


@register
class SpectralConv2D(_Spectral, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with spectral normalisation of the kernel as a matrix; arguments as there."""


@register
class SpectralDoublingConv2D(_Spectral, DoublingConv2D):
    """`DoublingConv2D` with spectral normalisation of the kernel as a matrix; arguments as there."""


@register
class EqualisedDense(_Equalised, keras.layers.Dense):
    """`keras.layers.Dense` with an equalised learning rate.

    Args:
        gain: factor of the kernel; sqrt(2) before a ReLU.
        *arguments, **options: as for `Dense`.
    """


@register
class EqualisedConv2D(_Equalised, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with an equalised learning rate.

    Args:
        gain: factor of the kernel; sqrt(2) before a ReLU.
        *arguments, **options: as for `Conv2D`.
    """


@register
class EqualisedHalvingConv2D(_Equalised, HalvingConv2D):
    """`HalvingConv2D` with an equalised learning rate.

    Args:
        gain: factor of the kernel; sqrt(2) before a ReLU.
        *arguments, **options: as for `HalvingConv2D`.
    """


@register
class EqualisedDoublingConv2D(_Equalised, DoublingConv2D):
    """`DoublingConv2D` with an equalised learning rate.

    Args:
        gain: factor of the kernel; sqrt(2) before a ReLU.
        *arguments, **options: as for `DoublingConv2D`.
    """

"""Networks of coupling layers: what is held -> shifts, or shifts and log scales, of what moves."""

import keras
from keras import layers, ops

from tfgen.distributions.bijectors import ActNorm
from tfgen.layers import FusedBatchNorm, Scale, WeightNormConv2D, ZeroConv2D


def dense(taken, given, units, activation="relu", initializer="glorot_uniform", last_initializer="zeros"):
    """Vectors -> shifts: fully connected layers (Dinh et al., 2015).

    Args:
        taken, given: width of input and output.
        units: widths of the hidden layers.
        activation: Keras activation of the hidden layers.
        initializer, last_initializer: function () -> initializer, or a name, of the hidden and the last kernels.

    Returns:
        A Functional model, (B, taken) -> (B, given).
    """
    def start(made):
        return made() if callable(made) else made

    inputs = x = keras.Input((taken,))
    for width in units:
        x = layers.Dense(width, activation, kernel_initializer=start(initializer))(x)
    return keras.Model(inputs, layers.Dense(given, kernel_initializer=start(last_initializer))(x), name="coupling")


def dense_affine(taken, moved, units, activation="relu"):
    """Vectors -> shifts and log scales in (-3, 3), both from 0: (B, taken) -> (B, 2 moved), arguments as for `dense`."""
    inputs = x = keras.Input((taken,))
    for width in units:
        x = layers.Dense(width, activation)(x)
    shift, raw = ops.split(layers.Dense(2 * moved, kernel_initializer="zeros")(x), 2, axis=-1)
    return keras.Model(inputs, ops.concatenate([shift, 3.0 * ops.tanh(raw / 3.0)], axis=-1), name="coupling")


def residual(shape, moved, filters=32, blocks=4, regularizer=None):
    """Images -> shifts and log scales: residual blocks whose outputs all reach the last layers (Dinh et al., 2017).

    Pre-activation blocks of two 3x3 convolutions with batch and weight normalisation; the paper's sum of a 1x1 convolution
    of each block's output is computed as one of their concatenation. Log scales are gamma tanh(…), gamma from 1, and the
    last kernel starts at 0, so that the coupling starts as the identity.

    Args:
        shape: (H, W, C) of the input.
        moved: channels of the shifts.
        filters: channels of the hidden layers.
        blocks: number of residual blocks.
        regularizer: function () -> regularizer of the weight-normalised kernels' gains, or None.

    Returns:
        A Functional model, (B, H, W, C) -> (B, H, W, 2 moved).
    """
    def conv(x, size=3, bias=False):
        return WeightNormConv2D(filters, size, padding="same", use_bias=bias, kernel_initializer="he_normal",
                                kernel_regularizer=regularizer and regularizer())(x)

    def norm(x):
        return FusedBatchNorm(momentum=0.9, epsilon=1e-4, scale=False)(x)

    inputs = keras.Input(shape)
    x = norm(inputs)
    x = conv(layers.ReLU()(layers.Concatenate()([x, -x])), bias=True)
    every = [x]
    for _ in range(blocks):
        y = conv(layers.ReLU()(norm(x)))
        x = x + conv(layers.ReLU()(norm(y)), bias=True)
        every.append(x)
    x = layers.ReLU()(norm(conv(layers.Concatenate()(every), 1)))
    shift, raw = ops.split(layers.Conv2D(2 * moved, 1, kernel_initializer="zeros")(x), 2, axis=-1)
    return keras.Model(inputs, ops.concatenate([shift, Scale(1.0)(ops.tanh(raw))], axis=-1), name="coupling")


def convolutional(shape, moved, filters=512, context=None):
    """Images -> shifts and log scales: 3x3, 1x1 and 3x3 convolutions, the last one from 0 (Kingma & Dhariwal, 2018).

    The hidden layers are normalised by `ActNorm`. Log scales are log sigmoid(raw + 2), so that scales stay below 1.

    Args:
        shape: (H, W, C) of the input.
        moved: channels of the shifts.
        filters: channels of the hidden layers.
        context: channels of a second input (H, W, context); None: there is none.

    Returns:
        A Functional model, (B, H, W, C) or [that, context] -> (B, H, W, 2 moved).
    """
    inputs = x = keras.Input(shape)
    if context:
        inputs = [x, keras.Input((*shape[:2], context))]
        x = layers.Concatenate()(inputs)
    for size in (3, 1):
        x = layers.Conv2D(filters, size, padding="same", use_bias=False,
                          kernel_initializer=keras.initializers.RandomNormal(0.0, 0.05))(x)
        x = layers.ReLU()(ActNorm()(x))
    shift, raw = ops.split(ZeroConv2D(2 * moved, 3, padding="same")(x), 2, axis=-1)
    return keras.Model(inputs, ops.concatenate([shift, ops.log_sigmoid(raw + 2.0)], axis=-1), name="coupling")

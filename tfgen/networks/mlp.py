"""Fully connected networks."""

import math

import keras

from tfgen.layers import Dropout, FullPrecisionRescaling
from tfgen.networks.conditioning import label_input, with_label


def _stack(x, units, activation, dropout=0.0, **options):
    for width in units:
        x = keras.layers.Dense(width, activation, **options)(x)
        x = Dropout(dropout)(x) if dropout else x
    return x


def standardised(x, location, scale):
    """(x - location) / scale along the last axis of rows in their own units, in float32."""
    # The difference first: offset * scale would lose what a large location leaves of float32.
    x = FullPrecisionRescaling(1.0, [-value for value in location])(x)
    return FullPrecisionRescaling([1.0 / value for value in scale])(x)


def encoder(image_shape, units, outputs, activation="relu", output_activation=None, num_classes=None, scaling=None,
            dropouts=(0.0, 0.0), **options):
    """Images, vectors or windows -> flat features.

    Args:
        image_shape: (H, W, C), (D,) or (times, channels).
        units: units per hidden layer; may be empty.
        outputs: units of the last layer.
        activation, output_activation: Keras activations.
        num_classes: number of classes if the network takes `[images, labels]`; None: images alone.
        scaling: (location, scale) by which rows are standardised first, see `tfgen.data.DataSpec`; None: they are not.
        dropouts: shares of the inputs, and of each hidden layer's units, that are left out in training.
        **options: of all dense layers.

    Returns:
        A Functional model, (B, *image_shape) -> (B, outputs).
    """
    image = keras.Input(image_shape, name="x")
    x, inputs = keras.layers.Flatten()(standardised(image, *scaling) if scaling else image), image
    if num_classes:
        inputs = [image, label_input()]
        x = with_label(x, inputs[1], num_classes)
    x = Dropout(dropouts[0])(x) if dropouts[0] else x
    x = keras.layers.Dense(outputs, output_activation, **options)(_stack(x, units, activation, dropouts[1], **options))
    return keras.Model(inputs, x, name="encoder")


def decoder(latent_dim, units, image_shape, activation="relu", output_activation=None, num_classes=None, **options):
    """Flat latents -> images (or the parameters of a likelihood, with more channels). Arguments as for `encoder`.

    Returns:
        A Functional model, (B, latent_dim) -> (B, *image_shape).
    """
    latent = keras.Input((latent_dim,), name="z")
    x, inputs = latent, latent
    if num_classes:
        inputs = [latent, label_input()]
        x = with_label(x, inputs[1], num_classes)
    x = keras.layers.Dense(math.prod(image_shape), output_activation, **options)(_stack(x, units, activation, **options))
    return keras.Model(inputs, keras.layers.Reshape(image_shape)(x), name="decoder")

"""Fully connected networks."""

import math

import keras

from tfgen.networks.conditioning import label_input, with_label


def _stack(x, units, activation):
    for width in units:
        x = keras.layers.Dense(width, activation)(x)
    return x


def encoder(image_shape, units, outputs, activation="relu", output_activation=None, num_classes=None):
    """Images -> flat features.

    Args:
        image_shape: (H, W, C).
        units: units per hidden layer; may be empty.
        outputs: units of the last layer.
        activation, output_activation: Keras activations.
        num_classes: number of classes if the network takes `[images, labels]`; None: images alone.

    Returns:
        A Functional model, (B, H, W, C) -> (B, outputs).
    """
    image = keras.Input(image_shape, name="x")
    x, inputs = keras.layers.Flatten()(image), image
    if num_classes:
        inputs = [image, label_input()]
        x = with_label(x, inputs[1], num_classes)
    x = keras.layers.Dense(outputs, output_activation)(_stack(x, units, activation))
    return keras.Model(inputs, x, name="encoder")


def decoder(latent_dim, units, image_shape, activation="relu", output_activation=None, num_classes=None):
    """Flat latents -> images (or the parameters of a likelihood, with more channels). Arguments as for `encoder`.

    Returns:
        A Functional model, (B, latent_dim) -> (B, H, W, C).
    """
    latent = keras.Input((latent_dim,), name="z")
    x, inputs = latent, latent
    if num_classes:
        inputs = [latent, label_input()]
        x = with_label(x, inputs[1], num_classes)
    x = keras.layers.Dense(math.prod(image_shape), output_activation)(_stack(x, units, activation))
    return keras.Model(inputs, keras.layers.Reshape(image_shape)(x), name="decoder")

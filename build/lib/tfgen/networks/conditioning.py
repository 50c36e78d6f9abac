"""How a class label enters a network."""

import math

import keras
from keras import layers

from tfgen.networks.blocks import from_unit


def label_input():
    """A label input: int32 (B,)."""
    return keras.Input((), dtype="int32", name="label")


def with_label(x, label, num_classes):
    """Features (B, n) with the one-hot label behind them: (B, n + num_classes)."""
    return keras.layers.Concatenate()([x, keras.ops.one_hot(label, num_classes)])


def embedded(label, num_classes, width):
    """A learned vector per class: (B,) -> (B, width), initially from N(0, 0.2^2).

    Keras' usual start, uniform in [-0.05, 0.05], is hardly noticed beside a latent, so that classes are told apart late.
    """
    start = keras.initializers.RandomNormal(0.0, 0.2)
    return layers.Embedding(num_classes, width, embeddings_initializer=start)(label)


def latent_and_label(latent_dim, num_classes, embedding=50):
    """(inputs, features) of a generator: latents, with the embedded label of a conditional one behind them."""
    z = keras.Input((latent_dim,), name="z")
    if not num_classes:
        return z, z
    label = label_input()
    return [z, label], layers.Concatenate()([z, embedded(label, num_classes, embedding)])


def image_and_label(image_shape, num_classes, embedding=50):
    """(inputs, features in [-1, 1]) of a critic: images, with a plane made of the embedded label of a conditional one."""
    image = keras.Input(image_shape, name="x")
    if not num_classes:
        return image, from_unit(image)
    label = label_input()
    plane = layers.Dense(math.prod(image_shape[:2]))(embedded(label, num_classes, embedding))
    return [image, label], layers.Concatenate()([from_unit(image), layers.Reshape((*image_shape[:2], 1))(plane)])

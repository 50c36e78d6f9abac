"""Convolutional networks: strided convolutions down, transposed convolutions up, for any image size."""

import keras

from tfgen.layers import Conv2DTranspose
from tfgen.networks.conditioning import label_input, with_label


def encoder(image_shape, filters, outputs, activation="relu", output_activation=None, num_classes=None):
    """Images -> flat features by 3x3 convolutions with stride 2.

    Args:
        image_shape: (H, W, C).
        filters: channels of each convolution; each halves the image (rounded up).
        outputs: width of the last, fully connected layer.
        activation, output_activation: Keras activations.
        num_classes: if given, the network takes `[images, labels]`.

    Returns:
        A Functional model, (B, H, W, C) -> (B, outputs).
    """
    image = keras.Input(image_shape, name="x")
    x, inputs = image, image
    for width in filters:
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation=activation)(x)
    x = keras.layers.Flatten()(x)
    if num_classes:
        inputs = [image, label_input()]
        x = with_label(x, inputs[1], num_classes)
    return keras.Model(inputs, keras.layers.Dense(outputs, output_activation)(x), name="encoder")


def decoder(latent_dim, filters, image_shape, activation="relu", num_classes=None):
    """Flat latents -> images (or the parameters of a likelihood, with more channels).

    The mirror of `encoder`: a fully connected layer to the smallest grid, then 4x4 transposed convolutions with
    stride 2 (a kernel that the stride divides leaves no checkerboard), cropped where a size was odd.

    Args:
        latent_dim: width of the latent.
        filters: channels from the smallest grid on, as many as the image is doubled times.
        image_shape: (H, W, C) of the output, which is linear.
        activation: Keras activation of the hidden layers.
        num_classes: if given, the network takes `[latents, labels]`.

    Returns:
        A Functional model, (B, latent_dim) -> (B, H, W, C).
    """
    height, width, channels = image_shape
    sizes = [(height, width)]
    for _ in filters:
        sizes.append(tuple((size + 1) // 2 for size in sizes[-1]))
    sizes.reverse()
    latent = keras.Input((latent_dim,), name="z")
    x, inputs = latent, latent
    if num_classes:
        inputs = [latent, label_input()]
        x = with_label(x, inputs[1], num_classes)
    x = keras.layers.Dense(sizes[0][0] * sizes[0][1] * filters[0], activation)(x)
    x = keras.layers.Reshape((*sizes[0], filters[0]))(x)
    for index, (small, large) in enumerate(zip(sizes, sizes[1:])):
        last = index == len(filters) - 1
        x = Conv2DTranspose(channels if last else filters[index + 1], 4, strides=2, padding="same",
                                         activation=None if last else activation)(x)
        if (crop := (2 * small[0] - large[0], 2 * small[1] - large[1])) != (0, 0):
            x = keras.layers.Cropping2D(((0, crop[0]), (0, crop[1])))(x)
    return keras.Model(inputs, x, name="decoder")

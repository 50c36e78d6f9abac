"""Critics that are autoencoders: the energy of an image is its reconstruction error (EBGAN, BEGAN)."""

import math

import keras
from keras import layers, ops

from tfgen.layers import DoublingConv2D
from tfgen.networks import conv
from tfgen.networks.blocks import from_unit, to_unit
from tfgen.networks.grids import check_levels, halvings, sizes


def energy(image_shape, filters, code):
    """Images -> energies, mean (x - decode(encode(x)))^2 over an image's values, and codes (Zhao et al., 2017).

    Args:
        image_shape: (H, W, C).
        filters: list of the channels after each halving.
        code: number of values per code.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> [(B, 1), (B, code)].
    """
    image = keras.Input(image_shape, name="x")
    codes = conv.encoder(image_shape, filters, code)(image)
    error = ops.square(image - conv.decoder(code, filters[::-1], image_shape)(codes))
    return keras.Model(image, [ops.mean(error, axis=(1, 2, 3))[:, None], codes], name="critic")


def equilibrium_decoder(latent_dim, image_shape, filters=64, convolutions=2):
    """Latents -> images: a linear layer, then 3x3 convolutions with ELU at each resolution, nearest-neighbour doubling.

    The generator of BEGAN, and the decoder of its critic (Berthelot et al., 2017, section 3.5).

    Args:
        latent_dim: number of values per latent.
        image_shape: (H, W, C), each side at least 8.
        filters: channels of every convolution but the last.
        convolutions: number of them per resolution, >= 1.

    Returns:
        A Functional model, (B, latent_dim) -> (B, H, W, C), linear around [0, 1].

    Raises:
        UserError: for images too small to be halved.
    """
    grids = sizes(image_shape, equilibrium_levels(image_shape))
    z = keras.Input((latent_dim,), name="z")
    x = layers.Reshape((*grids[0], filters))(layers.Dense(math.prod(grids[0]) * filters)(z))
    for level, grid in enumerate(grids):
        x = DoublingConv2D(filters, 3, grid, activation="elu")(x) if level else elu(x, filters)
        for _ in range(convolutions - 1):
            x = elu(x, filters)
    return keras.Model(z, to_unit(layers.Conv2D(image_shape[-1], 3, padding="same")(x)), name="generator")


def equilibrium_levels(image_shape):
    """The number of halvings down to the authors' 8x8 places, 7x7 for 28x28 images; at least one."""
    return min(check_levels(image_shape), max(1, halvings(image_shape, 7)))


def elu(x, filters, strides=1):
    """A 3x3 convolution and ELU."""
    return layers.Conv2D(filters, 3, strides, padding="same", activation="elu")(x)


def equilibrium(image_shape, code, filters=64, convolutions=2):
    """Images -> energies, mean |u - decode(encode(u))| over an image's values u in [-1, 1] (Berthelot et al., 2017).

    The encoder has 3x3 convolutions with ELU, the last of a resolution of stride 2 but on the smallest grid, with
    `filters` more channels at each smaller one, and a linear layer; the decoder is `equilibrium_decoder`.

    Args:
        image_shape: (H, W, C), each side at least 8.
        code: number of values per code.
        filters: channels at full size.
        convolutions: number of them per resolution, >= 1, beside the first.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, 1).

    Raises:
        UserError: for images too small to be halved.
    """
    image = keras.Input(image_shape, name="x")
    u, levels = from_unit(image), equilibrium_levels(image_shape)
    x = elu(u, filters)
    for level in range(levels + 1):
        for _ in range(convolutions - 1):
            x = elu(x, (level + 1) * filters)
        x = elu(x, (level + 1) * filters, 2 if level < levels else 1)
    codes = layers.Dense(code)(layers.Flatten()(x))
    error = ops.abs(u - from_unit(equilibrium_decoder(code, image_shape, filters, convolutions)(codes)))
    return keras.Model(image, ops.mean(error, axis=(1, 2, 3))[:, None], name="critic")

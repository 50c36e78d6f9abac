"""Generators and critics with one output per resolution, for progressive growing (Karras et al., 2018)."""

import functools
import math

import keras
from keras import layers

from tfgen.layers import EqualisedConv2D, EqualisedDense, EqualisedDoublingConv2D, MinibatchStdDev, PixelNorm
from tfgen.layers.doubling import double
from tfgen.networks.blocks import from_unit, to_unit
from tfgen.networks.grids import check_levels, fade, halve, sizes, widths


def channels_of(filters, levels, most=512):
    """Channels per grid from the smallest to the image: `filters` at the image, doubled inwards, at most `most`."""
    return [min(most, width) for width in widths(filters, levels + 1)[::-1]]


def conv(width, size=3, grid=None):
    """Equalised convolution and leaky ReLU of slope 0.2, as a list of layers; with a grid, of features doubled to it."""
    made = EqualisedDoublingConv2D(width, size, grid) if grid else EqualisedConv2D(width, size, padding="same")
    return [made, layers.LeakyReLU(0.2)]


def chain(x, parts):
    """Applies layers in sequence."""
    return functools.reduce(lambda y, layer: layer(y), parts, x)


def generator(image_shape, latent_dim, filters=64):
    """[latents, alpha] -> one image per resolution, from a grid of 4 to 7 pixels to full size.

    Latents are normalised; every convolution has an equalised learning rate, leaky ReLU and pixel
    normalisation. Output s is (1 - alpha) * doubled toRGB_{s-1}(h_{s-1}) + alpha * toRGB_s(h_s), the first toRGB_0(h_0).

    Args:
        image_shape: (H, W, C), each side at least 8.
        latent_dim: number of values per latent.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, [(B, latent_dim), (B, 1)] -> [(B, h, w, C), …, (B, H, W, C)], linear outputs that
        training drives into [0, 1].

    Raises:
        UserError: for images too small for two resolutions.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), channels_of(filters, levels)
    z, alpha = keras.Input((latent_dim,), name="z"), keras.Input((1,), name="alpha")
    share = layers.Reshape((1, 1, 1))(alpha)
    x = EqualisedDense(math.prod(grids[0]) * channels[0], gain=math.sqrt(2.0) / 4)(PixelNorm()(z))
    x = layers.Reshape((*grids[0], channels[0]))(x)
    x = chain(x, [layers.LeakyReLU(0.2), PixelNorm(), *conv(channels[0]), PixelNorm()])
    coarse, output = to_image(x, image_shape[-1])
    outputs = [output]
    for grid, width in zip(grids[1:], channels[1:]):
        x = chain(x, [*conv(width, grid=grid), PixelNorm(), *conv(width), PixelNorm()])
        coarse, output = to_image(x, image_shape[-1], coarse, share)
        outputs.append(output)
    return keras.Model([z, alpha], outputs, name="generator")


def to_image(x, channels, coarse=None, share=None):
    """(toRGB_s(h_s), image of stage s around [0, 1]) of its features h_s (B, h, w, C).

    Args:
        channels: of the images.
        coarse: toRGB_{s-1}(h_{s-1}), over which that of this stage fades in; None: it is the first.
        share: alpha, (B, 1, 1, 1).
    """
    fine = EqualisedConv2D(channels, 1, gain=1.0)(x)
    return fine, to_unit(fine if coarse is None else fade(double(coarse, x.shape[1:3]), fine, share))


def critic(image_shape, filters=64):
    """[images per resolution, alpha] -> one score per resolution; lower blocks are shared.

    Stage s: (1 - alpha) * fromRGB_{s-1}(halved x_s) + alpha * halved block_s(fromRGB_s(x_s)), then blocks s-1 … 0, the
    last with the minibatch standard deviation.

    Args:
        image_shape: (H, W, C), each side at least 8.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, [(B, h, w, C), …, (B, H, W, C), (B, 1)] -> [(B, 1), …].

    Raises:
        UserError: for images too small to be halved.
    """
    return growing_critic(image_shape, filters, lambda width, below: [*conv(width), *conv(below), halve])


def growing_critic(image_shape, filters, block, first=0):
    """A critic as `critic` has it.

    Args:
        image_shape, filters: as for `critic`.
        block: function (width of this grid, width of the next smaller one) -> layers from one to the other.
        first: the grid of the smallest images, counted from the smallest grid.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), channels_of(filters, levels)
    blocks = [last_block(channels[0]), *(block(width, below) for below, width in zip(channels, channels[1:]))]
    from_image = {grid: conv(width, 1) for grid, width in enumerate(channels) if grid >= first}
    images = {grid: keras.Input((*grids[grid], image_shape[-1]), name=f"x_{grid}") for grid in from_image}
    alpha = keras.Input((1,), name="alpha")
    share = layers.Reshape((1, 1, 1))(alpha)
    scores = []
    for top, image in images.items():
        x = chain(from_unit(image), [*from_image[top], *blocks[top]])
        if top > first:
            x = fade(chain(from_unit(halve(image)), from_image[top - 1]), x, share)
        for lower in range(top - 1, -1, -1):
            x = chain(x, blocks[lower])
        scores.append(x)
    return keras.Model([*images.values(), alpha], scores, name="critic")


def last_block(width):
    """Layers of a critic on its smallest grid, from features to the score."""
    return [MinibatchStdDev(), *conv(width), layers.Flatten(), EqualisedDense(width), layers.LeakyReLU(0.2),
            EqualisedDense(1, gain=1.0)]

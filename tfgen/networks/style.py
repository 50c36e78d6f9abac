"""Style-based GANs: a mapping network, a synthesis network modulated by its styles, a critic (Karras et al., 2019)."""

import keras
from keras import layers

from tfgen.layers import (
    Blur,
    EqualisedConv2D,
    EqualisedDense,
    EqualisedDoublingConv2D,
    EqualisedHalvingConv2D,
    GroupNorm,
    Learned,
    PixelNorm,
    SlowDense,
)
from tfgen.networks.grids import check_levels, sizes
from tfgen.networks.progressive import channels_of, conv, growing_critic, to_image


def mapping(latent_dim, width=512, depth=8):
    """Latents -> intermediate latents w: normalisation, then dense layers with a hundredth of the learning rate.

    Args:
        latent_dim: number of values per latent.
        width: number of values of w.
        depth: number of dense layers, each with leaky ReLU of slope 0.2.

    Returns:
        A Functional model, (B, latent_dim) -> (B, width).
    """
    z = keras.Input((latent_dim,), name="z")
    x = PixelNorm()(z)
    for _ in range(depth):
        x = layers.LeakyReLU(0.2)(SlowDense(width)(x))
    return keras.Model(z, x, name="mapping")


def adain(x, w):
    """Adaptive instance normalisation: per image and channel a gain (around 1) and a bias, linear in w.

    y = (1 + s(w)) (x - mean x) / std x + b(w), mean and standard deviation over positions (Huang & Belongie, 2017).

    Args:
        x: features (B, h, w, C).
        w: (B, width).
    """
    style = EqualisedDense(2 * x.shape[-1], gain=1.0)(w)
    # In float32: maps of the learned constant hardly vary, so that x / std x and mean x / std x are large and nearly equal.
    return GroupNorm(x.shape[-1], epsilon=1e-8, learned=False, dtype="float32")(x, style)


def first_of(levels):
    """The grid of the smallest images, counted from the smallest grid: the second, as the authors' code begins with images
    of 8x8 pixels and four layers; the first if there are but two.
    """
    return min(1, levels - 1)


def synthesis(image_shape, width=512, filters=64):
    """[styles, noise per layer, alpha] -> one image per resolution from that of `first_of` on: two layers for each grid,
    starting from a learned constant.

    A layer is a convolution (except the first), noise with a learned scale per channel (initially zero), leaky
    ReLU and `adain` by its style. The first convolution of a larger grid has features doubled by nearest neighbours, and a
    blur behind it. Images fade in as those of `progressive.generator`.

    Args:
        image_shape: (H, W, C), each side at least 8.
        width: number of values of w.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, [(B, layers, width), (B, h, w, 1), …, (B, 1)] -> [(B, h, w, C), …, (B, H, W, C)], linear around
        [0, 1].

    Raises:
        UserError: for images too small for two resolutions.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), channels_of(filters, levels)
    styles, alpha = keras.Input((2 * len(grids), width), name="styles"), keras.Input((1,), name="alpha")
    noises = [keras.Input((*grids[layer // 2], 1), name=f"noise_{layer}") for layer in range(2 * len(grids))]
    share = layers.Reshape((1, 1, 1))(alpha)
    # The constant in float32: beside it, the noise of the first steps is less than bfloat16 tells apart.
    x, image, outputs = Learned((*grids[0], channels[0]), dtype="float32")(styles), None, []
    for layer, noise in enumerate(noises):
        stage, second = divmod(layer, 2)
        exact = {} if layer else {"dtype": "float32"}
        if second:
            x = EqualisedConv2D(channels[stage], 3, padding="same")(x)
        elif stage:
            x = Blur()(EqualisedDoublingConv2D(channels[stage], 3, grids[stage])(x))
        # A 1x1 convolution of one plane is a scale for each channel.
        x = x + layers.Conv2D(x.shape[-1], 1, use_bias=False, kernel_initializer="zeros", **exact)(noise)
        x = adain(layers.LeakyReLU(0.2, **exact)(x), styles[:, layer])
        if second and stage >= first_of(levels):
            image, output = to_image(x, image_shape[-1], image, share)
            outputs.append(output)
    return keras.Model([styles, *noises, alpha], outputs, name="synthesis")


def generator(image_shape, latent_dim, width=512, filters=64, depth=8):
    """[latents, noise per layer, alpha] -> one image per resolution: `mapping`, whose w is the style of all layers, then
    `synthesis`.

    Args: as for `mapping` and `synthesis`; the network has layers of these names.

    Returns:
        A Functional model, [(B, latent_dim), (B, h, w, 1), …, (B, 1)] -> [(B, h, w, C), …, (B, H, W, C)].
    """
    return compose(mapping(latent_dim, width, depth), synthesis(image_shape, width, filters))


def compose(maps, paints):
    """The generator of a mapping and a synthesis network: w is the style of all layers."""
    styles, *others = paints.inputs
    z = keras.Input(maps.inputs[0].shape[1:], name="z")
    others = [keras.Input(other.shape[1:], name=other.name) for other in others]
    return keras.Model([z, *others], paints([layers.RepeatVector(styles.shape[1])(maps(z)), *others]), name="generator")


def of_stage(generator, stage):
    """The generator of the images of one stage alone, counted from 0: a part of a `generator`, which shares its layers.

    It takes the noise of its layers alone.
    """
    paints = generator.get_layer("synthesis")
    styles, *noises, alpha = paints.inputs
    inputs = [styles, *noises[:len(noises) - 2 * (len(paints.outputs) - 1 - stage)], alpha]
    return compose(generator.get_layer("mapping"), keras.Model(inputs, paints.outputs[stage], name="synthesis"))


def critic(image_shape, filters=64):
    """[images per resolution, alpha] -> one score per resolution, as `progressive.critic`, whose blocks blur.

    A block is a convolution, a blur, a convolution, means of 2x2 places and a leaky ReLU. Blurred before they are halved,
    features do not alias, so that the generator has no pattern of the grid's period to gain by (authors' code, `D_basic`).

    Args:
        image_shape: (H, W, C), each side at least 8.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, [(B, h, w, C), …, (B, H, W, C), (B, 1)] -> [(B, 1), …], of images as `synthesis` makes.

    Raises:
        UserError: for images too small to be halved.
    """
    return growing_critic(image_shape, filters, lambda width, below: [
        *conv(width), Blur(), EqualisedHalvingConv2D(below, 3), layers.LeakyReLU(0.2)], first_of(check_levels(image_shape)))

"""Style-based GANs: a mapping network, a synthesis network modulated by its styles, a critic (Karras et al., 2019)."""

import keras
from keras import layers

from tfgen.layers import Blur, EqualisedConv2D, EqualisedDense, Learned, PixelNorm, SlowDense
from tfgen.networks.blocks import from_unit, to_unit
from tfgen.networks.grids import check_levels, crop_to, sizes
from tfgen.networks.progressive import chain, channels_of, conv, last_block


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
    gain, bias = (layers.Reshape((1, 1, x.shape[-1]))(EqualisedDense(x.shape[-1], gain=1.0)(w)) for _ in range(2))
    return layers.GroupNormalization(-1, epsilon=1e-8, center=False, scale=False)(x) * (1.0 + gain) + bias


def synthesis(image_shape, width=512, filters=64):
    """[styles, noise per layer] -> images: two layers per resolution, starting from a learned constant.

    A layer is a convolution (except the first), noise with a learned scale per channel (initially zero), leaky
    ReLU and `adain` by its style. Grids are doubled by linear interpolation.

    Args:
        image_shape: (H, W, C), each side at least 8.
        width: number of values of w.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, [(B, layers, width), (B, h, w, 1), …] -> (B, H, W, C), linear around [0, 1].

    Raises:
        UserError: for images too small for two resolutions.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), channels_of(filters, levels)
    styles = keras.Input((2 * len(grids), width), name="styles")
    noises = [keras.Input((*grids[layer // 2], 1), name=f"noise_{layer}") for layer in range(2 * len(grids))]
    x = Learned((*grids[0], channels[0]))(styles)
    for layer, noise in enumerate(noises):
        if layer and layer % 2 == 0:
            x = crop_to(layers.UpSampling2D(interpolation="bilinear")(x), grids[layer // 2])
        if layer:
            x = EqualisedConv2D(channels[layer // 2], 3, padding="same")(x)
        # A 1x1 convolution of one plane is a scale for each channel.
        x = x + layers.Conv2D(x.shape[-1], 1, use_bias=False, kernel_initializer="zeros")(noise)
        x = adain(layers.LeakyReLU(0.2)(x), styles[:, layer])
    return keras.Model([styles, *noises], to_unit(EqualisedConv2D(image_shape[-1], 1, gain=1.0)(x)), name="synthesis")


def generator(image_shape, latent_dim, width=512, filters=64, depth=8):
    """[latents, noise per layer] -> images: `mapping`, whose w is the style of all layers, then `synthesis`.

    Args: as for `mapping` and `synthesis`; the network has layers of these names.

    Returns:
        A Functional model, [(B, latent_dim), (B, h, w, 1), …] -> (B, H, W, C).
    """
    paint = synthesis(image_shape, width, filters)
    styles, *noises = paint.inputs
    z = keras.Input((latent_dim,), name="z")
    planes = [keras.Input(noise.shape[1:], name=noise.name) for noise in noises]
    w = layers.RepeatVector(styles.shape[1])(mapping(latent_dim, width, depth)(z))
    return keras.Model([z, *planes], paint([w, *planes]), name="generator")


def critic(image_shape, filters=64):
    """Images -> scores: per resolution a convolution, a blur, a convolution, means of 2x2 places and a leaky ReLU.

    Blurred before they are halved, features do not alias, so that the generator has no pattern of the grid's period to gain
    by (authors' code, `D_basic`). The last block has the minibatch standard deviation.

    Args:
        image_shape: (H, W, C), each side at least 8.
        filters: channels at full size, doubled at each smaller grid up to 512.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, 1).

    Raises:
        UserError: for images too small to be halved.
    """
    levels = check_levels(image_shape)
    channels = channels_of(filters, levels)
    image = keras.Input(image_shape, name="x")
    x = chain(from_unit(image), conv(channels[-1], 1))
    for level in range(levels, 0, -1):
        x = chain(x, [*conv(channels[level]), Blur(), EqualisedConv2D(channels[level - 1], 3, padding="same"),
                      layers.AveragePooling2D(2, padding="same"), layers.LeakyReLU(0.2)])
    return keras.Model(image, chain(x, last_block(channels[0])), name="critic")

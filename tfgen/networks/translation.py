"""Networks of image-to-image translation: U-Net and residual generators, patch critics; for any image size."""

import math

import keras
from keras import layers

from tfgen.errors import UserError
from tfgen.layers import Conv2DTranspose, ReflectionPadding2D, SeededDropout
from tfgen.networks.blocks import from_unit, normalised, small_normal, to_unit
from tfgen.networks.grids import crop_to, sizes


def halvings_to_one(shape):
    """Number of halvings of (H, W, C) down to one position."""
    return math.ceil(math.log2(max(shape[:2])))


def unet(source_shape, image_shape, filters=64, norm="instance", dropout=0.5, levels=None, skips=None):
    """U-Net: 4x4 convolutions down to one position and up again, with skip connections at each grid.

    The generator of pix2pix (Isola et al., 2017, section 6.1.1): leaky ReLU of slope 0.2 down, ReLU up,
    channels doubled at each level up to 8 times `filters`, dropout in the three deepest levels up. Weights
    are initialised from N(0, 0.02^2) or, without normalisation, where such small signals would vanish, after He et al.
    (2015).

    Args:
        source_shape, image_shape: (H, W, C) of input and output, with equal H and W.
        filters: channels of the largest grid.
        norm: `"instance"`, `"batch"` or None; never in the first layer.
        dropout: rate in [0, 1). If above 0, it is the generator's noise and the network takes `[images, seeds]`.
        levels: number of halvings (sides round up); None: down to one position.
        skips: number of grids with a skip connection, the smallest ones, 0 ... levels - 1; None: all.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] (or [images, seeds int64 (B,)]) -> (B, H, W, C') in [0, 1].

    Raises:
        UserError: for different sizes.
    """
    check_sizes(source_shape, image_shape)
    start = small_normal if norm else keras.initializers.HeNormal
    levels = halvings_to_one(source_shape) if levels is None else levels
    skips = levels - 1 if skips is None else skips
    grids = sizes(source_shape, levels)[::-1]
    channels = [filters * min(8, 2**level) for level in range(levels)]
    source, seeds = keras.Input(source_shape, name="x"), keras.Input((), name="seeds", dtype="int64")
    x, held = from_unit(source), []
    for level, width in enumerate(channels):
        x = layers.LeakyReLU(0.2)(x) if level else x
        x = layers.Conv2D(width, 4, strides=2, padding="same", use_bias=not (level and norm), kernel_initializer=start())(x)
        x = normalised(x, norm) if level else x
        held.append(x)
    held.pop()
    for level in reversed(range(levels)):
        width = channels[level - 1] if level else image_shape[-1]
        x = Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=not (level and norm),
                                   kernel_initializer=start())(layers.ReLU()(x))
        x = crop_to(x, grids[level])
        if level:
            x = normalised(x, norm)
            depth = levels - 1 - level
            x = SeededDropout(dropout, use=depth)([x, seeds]) if dropout and depth < 3 else x
            x = layers.Concatenate()([x, held.pop()]) if depth < skips else x
    inputs = [source, seeds] if dropout else source
    return keras.Model(inputs, to_unit(layers.Activation("tanh")(x)), name="unet")


def residual(source_shape, image_shape, filters=64, blocks=None, norm="instance"):
    """Images -> images: two halvings, residual blocks, two doublings.

    The generator of CycleGAN (Zhu et al., 2017, appendix 7.2, after Johnson et al., 2016): a 7x7 convolution, two 3x3
    ones with stride 2, blocks of two 3x3 convolutions, two transposed ones, a 7x7 one; reflection padding.

    Args:
        source_shape, image_shape: (H, W, C) of input and output, with equal H and W of at least 8.
        filters: channels of the largest grid, doubled at each halving.
        blocks: number of residual blocks; None: 9 for sides of 256 or more, else 6, as in the paper.
        norm: `"instance"`, `"batch"` or None, after each convolution except the last.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, C') in [0, 1].

    Raises:
        UserError: for different sizes.
    """
    check_sizes(source_shape, image_shape)
    blocks = default_blocks(source_shape) if blocks is None else blocks
    small, middle, large = sizes(source_shape, 2)
    source = keras.Input(source_shape, name="x")

    def finish(x):
        return layers.ReLU()(normalised(x, norm))

    def conv(x, width, size, strides=1, bias=False):
        x = ReflectionPadding2D(size // 2)(x) if strides == 1 else x
        return layers.Conv2D(width, size, strides=strides, padding="valid" if strides == 1 else "same",
                             use_bias=bias or not norm, kernel_initializer=small_normal())(x)

    x = finish(conv(from_unit(source), filters, 7))
    x = finish(conv(x, 2 * filters, 3, strides=2))
    x = finish(conv(x, 4 * filters, 3, strides=2))
    for _ in range(blocks):
        x = x + normalised(conv(finish(conv(x, 4 * filters, 3)), 4 * filters, 3), norm)
    for width, grid in ((2 * filters, middle), (filters, large)):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", use_bias=not norm,
                                   kernel_initializer=small_normal())(x)
        x = finish(crop_to(x, grid))
    x = layers.Activation("tanh")(conv(x, image_shape[-1], 7, bias=True))
    return keras.Model(source, to_unit(x), name="residual")


def patchgan(image_shape, source_shape=None, filters=64, depth=3, norm="instance"):
    """PatchGAN critic: one score per overlapping patch (Isola et al., 2017, section 6.1.2).

    `depth` 4x4 convolutions with stride 2, one with stride 1, one to the scores, each with one pixel of padding and
    channels doubled up to 8 times `filters`. The receptive field of a score is `receptive_field(depth)` pixels: depth 1 is
    the paper's 16x16, 3 its 70x70, 5 its 286x286; depth 0 has only 1x1 convolutions, with a receptive field of one pixel.

    Args:
        image_shape: (H, W, C) of the images that the critic scores.
        source_shape: (H, W, C') of the sources if the network takes `[sources, images]`; None: images alone.
        filters: channels of the first layer.
        depth: 0 ... 5 for any size at least `least_side(depth)`.
        norm: `"instance"`, `"batch"` or None; never in the first layer.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] (or `[sources, images]`) -> (B, h, w, 1).

    Raises:
        UserError: for an image smaller than `least_side(depth)`.
    """
    if min(image_shape[:2]) < least_side(depth):
        raise UserError(f"a critic of depth {depth} expects images of at least {least_side(depth)} pixels a side, received "
                         f"{image_shape[0]}x{image_shape[1]}: choose a smaller depth")
    image = keras.Input(image_shape, name="x")
    inputs, x = image, from_unit(image)
    if source_shape:
        inputs = [keras.Input(source_shape, name="source"), image]
        x = layers.Concatenate()([from_unit(inputs[0]), x])

    def conv(x, width, strides, bias):
        if depth == 0:
            return layers.Conv2D(width, 1, use_bias=bias, kernel_initializer=small_normal())(x)
        x = layers.ZeroPadding2D(1)(x)
        return layers.Conv2D(width, 4, strides=strides, use_bias=bias, kernel_initializer=small_normal())(x)

    for level in range(depth + 1):
        x = conv(x, filters * min(8, 2**level), 2 if level < depth else 1, level == 0 or not norm)
        x = layers.LeakyReLU(0.2)(normalised(x, norm) if level else x)
    if depth == 0:
        x = layers.LeakyReLU(0.2)(normalised(conv(x, 2 * filters, 1, not norm), norm))
    return keras.Model(inputs, conv(x, 1, 1, True), name="patchgan")


def receptive_field(depth):
    """Receptive field of one score of `patchgan`: side in pixels."""
    return 9 * 2**depth - 2 if depth else 1


def least_side(depth):
    """Minimum image side of `patchgan`: the last halved grid then has 3 pixels, and the scores one."""
    return 3 * 2**depth if depth else 1


def deepest(image_shape):
    """Maximum depth for images of this size, at most the paper's 5."""
    return max(depth for depth in range(6) if least_side(depth) <= min(image_shape[:2]))


def default_blocks(image_shape):
    """9 residual blocks for images of 256 pixels or more, else 6 (Zhu et al., 2017, appendix 7.2)."""
    return 9 if min(image_shape[:2]) >= 256 else 6


def check_sizes(source_shape, image_shape):
    """Raises a `UserError` unless both images have equal height and width."""
    if tuple(source_shape[:2]) != tuple(image_shape[:2]):
        raise UserError(f"a translation expects images of one size, received {source_shape[0]}x{source_shape[1]} -> "
                         f"{image_shape[0]}x{image_shape[1]}: resize one of them")

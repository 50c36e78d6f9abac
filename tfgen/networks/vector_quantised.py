"""Encoders to codes and decoders from their vectors, of one level or two (VQ-VAE and VQ-VAE-2)."""

import keras
from keras import layers

from tfgen.layers import Conv2DTranspose, LevelEmbedding
from tfgen.networks.blocks import from_unit, to_unit
from tfgen.networks.grids import crop_to, sizes


def residual_stack(x, residual_filters, blocks):
    """Blocks x + conv1x1(ReLU(conv3x3(ReLU(x)))), then ReLU."""
    for _ in range(blocks):
        y = layers.Conv2D(residual_filters, 3, padding="same", use_bias=False)(layers.ReLU()(x))
        x = layers.Add()([x, layers.Conv2D(x.shape[-1], 1, use_bias=False)(layers.ReLU()(y))])
    return layers.ReLU()(x)


def down(x, filters, halvings, residual_filters, blocks):
    """4x4 convolutions with stride 2, the first of half the channels if there are several, a 3x3 one, residual blocks."""
    for level in range(halvings):
        width = filters if level == halvings - 1 else filters // 2
        x = layers.Conv2D(width, 4, strides=2, padding="same", activation="relu")(x)
    return residual_stack(layers.Conv2D(filters, 3, padding="same")(x), residual_filters, blocks)


def up(x, filters, outputs, grids, residual_filters, blocks):
    """A 3x3 convolution, residual blocks, then 4x4 transposed convolutions with stride 2 to each of `grids`."""
    x = residual_stack(layers.Conv2D(filters, 3, padding="same")(x), residual_filters, blocks)
    for index, grid in enumerate(grids):
        last = index == len(grids) - 1
        x = Conv2DTranspose(outputs if last else filters // 2, 4, strides=2, padding="same",
                                   activation=None if last else "relu")(x)
        x = crop_to(x, grid)
    return x


def encoder(image_shape, quantizer, dim=64, filters=128, halvings=2, residual_filters=32, blocks=2):
    """Images -> a grid of codes (van den Oord et al., 2017, section 4.1; sizes of the authors' public example).

    Args:
        image_shape: (H, W, C).
        quantizer: a `tfgen.layers.VectorQuantizer`.
        dim: D, channels of a code's vector.
        filters: channels.
        halvings: how often the sides are halved, rounded up, >= 1.
        residual_filters: channels of the 3x3 convolutions of residual blocks.
        blocks: number of residual blocks.

    Returns:
        A Functional model, (B, H, W, C) -> [quantised (B, h, w, D), codes int32 (B, h, w), loss (B,)].
    """
    image = keras.Input(image_shape, name="x")
    x = down(from_unit(image), filters, halvings, residual_filters, blocks)
    return keras.Model(image, quantizer(layers.Conv2D(dim, 1)(x)), name="encoder")


def decoder(image_shape, dim=64, filters=128, halvings=2, residual_filters=32, blocks=2):
    """Vectors of codes -> images, the mirror of `encoder`; arguments as there.

    Returns:
        A Functional model, (B, h, w, D) -> (B, H, W, C), linear.
    """
    grids = sizes(image_shape, halvings)
    vectors = keras.Input((*grids[0], dim), name="quantised")
    x = up(vectors, filters, image_shape[-1], grids[1:], residual_filters, blocks)
    return keras.Model(vectors, to_unit(x), name="decoder")


def two_level_encoder(image_shape, quantizers, dim=64, filters=128, halvings=2, residual_filters=32, blocks=2):
    """Images -> two grids of codes (Razavi et al., 2019, arXiv:1906.00446, section 3.1): the coarse one is of features of
    the fine grid, the fine one of these features and of the vectors of the coarse one.

    Args:
        quantizers: two `tfgen.layers.VectorQuantizer`, of the coarse and of the fine grid.
        halvings: of the fine grid; the coarse one is halved once more.
        image_shape, dim, filters, residual_filters, blocks: as for `encoder`.

    Returns:
        A Functional model, (B, H, W, C) -> [coarse and fine vectors, coarse and fine codes, coarse and fine loss].
    """
    image = keras.Input(image_shape, name="x")
    fine = down(from_unit(image), filters, halvings, residual_filters, blocks)
    coarse = down(fine, filters, 1, residual_filters, blocks)
    top, bottom = quantizers
    vectors, codes, loss = top(layers.Conv2D(dim, 1)(coarse))
    above = up(vectors, filters, dim, [fine.shape[1:3]], residual_filters, blocks)
    made = bottom(layers.Conv2D(dim, 1)(layers.Concatenate()([fine, above])))
    return keras.Model(image, [vectors, made[0], codes, made[1], loss, made[2]], name="encoder")


def two_level_decoder(image_shape, dim=64, filters=128, halvings=2, residual_filters=32, blocks=2):
    """Coarse and fine vectors -> images; arguments as for `two_level_encoder`.

    Returns:
        A Functional model, [(B, h', w', D), (B, h, w, D)] -> (B, H, W, C), linear.
    """
    grids = sizes(image_shape, halvings + 1)
    coarse, fine = keras.Input((*grids[0], dim), name="coarse"), keras.Input((*grids[1], dim), name="fine")
    raised = crop_to(layers.Conv2DTranspose(dim, 4, strides=2, padding="same")(coarse), grids[1])
    x = up(layers.Concatenate()([raised, fine]), filters, image_shape[-1], grids[2:], residual_filters, blocks)
    return keras.Model([coarse, fine], to_unit(x), name="decoder")


def conditioning(above_shape, codes, grid, filters=64, residual_filters=32, blocks=2):
    """Codes of a coarser grid -> features of a finer one, for its prior (Razavi et al., 2019, section 3.2).

    Args:
        above_shape: (h', w') of the coarser grid.
        codes: number of its codes, K.
        grid: (h, w) of the finer one, twice as large or one pixel less.
        filters, residual_filters, blocks: as for `encoder`.

    Returns:
        A Functional model, codes as levels k / (K - 1), (B, h', w', 1) -> (B, h, w, filters).
    """
    above = keras.Input((*above_shape, 1), name="above")
    x = up(LevelEmbedding(codes, filters)(above), filters, filters, [grid], residual_filters, blocks)
    return keras.Model(above, x, name="conditioning")

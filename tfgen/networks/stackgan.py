"""Class-conditional generators in two stages: a sketch at half the size, then the image (Zhang et al., 2017)."""

import math

import keras
from keras import layers, ops

from tfgen.layers import DoublingConv2D, FusedBatchNorm
from tfgen.networks.blocks import from_unit, small_normal, to_unit
from tfgen.networks.conditioning import embedded, label_input
from tfgen.networks.grids import check_levels, halvings, sizes, widths

EMBEDDING = 128


def finish(x, activation=layers.ReLU):
    """Batch normalisation and ReLU."""
    return activation()(FusedBatchNorm(momentum=0.9, epsilon=1e-5)(x))


def conv(x, filters, size=3, strides=1, norm=True):
    return layers.Conv2D(filters, size, strides, padding="same", use_bias=not norm,
                         kernel_initializer=small_normal())(x)


def augmented(label, num_classes, noise):
    """Conditioning augmentation (section 3.2): (c, stats), c = mean(label) + exp(log_var(label) / 2) * noise.

    Args:
        label: (B,).
        num_classes: number of classes.
        noise: standard normal (B, n).

    Returns:
        c (B, n), and the means and log variances (B, 2 n).
    """
    width = noise.shape[-1]
    stats = layers.Dense(2 * width)(layers.LeakyReLU(0.2)(embedded(label, num_classes, EMBEDDING)))
    return stats[:, :width] + ops.exp(0.5 * stats[:, width:]) * noise, stats


def planes(x, condition):
    """Features (B, h, w, C) concatenated with a condition (B, n) at every position: (B, h, w, C + n)."""
    spread = layers.Reshape((*x.shape[1:3], condition.shape[-1]))(layers.RepeatVector(math.prod(x.shape[1:3]))(condition))
    return layers.Concatenate()([x, spread])


def doubled(x, grid, filters):
    """Nearest-neighbour doubling, then a 3x3 convolution."""
    return finish(DoublingConv2D(filters, 3, grid, use_bias=False, kernel_initializer=small_normal())(x))


def image_of(x, channels):
    return to_unit(layers.Activation("tanh")(conv(x, channels, norm=False)))


def sketch(z, condition, image_shape, filters):
    """Stage I: latents and condition -> images of a small `image_shape`."""
    levels = halvings(image_shape)
    grids, channels = sizes(image_shape, levels), widths(filters, levels + 1)[::-1]
    x = layers.Concatenate()([z, condition])
    x = layers.Dense(math.prod(grids[0]) * channels[0], use_bias=False,
                     kernel_initializer=small_normal())(x)
    x = finish(layers.Reshape((*grids[0], channels[0]))(x))
    for grid, width in zip(grids[1:], channels[1:]):
        x = doubled(x, grid, width)
    return image_of(x, image_shape[-1])


def refine(small, condition, image_shape, filters, blocks):
    """Stage II: small images and condition -> images; encoder, residual blocks, decoder."""
    grids, channels = [small.shape[1:3]], [2 * filters]
    x = layers.ReLU()(conv(from_unit(small), 2 * filters, norm=False))
    if halvings(small.shape[1:]):
        grids, channels = [((grids[0][0] + 1) // 2, (grids[0][1] + 1) // 2), *grids], [4 * filters, *channels]
        x = finish(conv(x, channels[0], 4, 2))
    x = finish(conv(planes(x, condition), channels[0]))
    for _ in range(blocks):
        y = finish(conv(x, channels[0]))
        x = layers.ReLU()(x + FusedBatchNorm(momentum=0.9, epsilon=1e-5)(conv(y, channels[0])))
    for grid, width in zip([*grids[1:], image_shape[:2]], [*channels[1:], filters]):
        x = doubled(x, grid, width)
    return image_of(x, image_shape[-1])


def generator(image_shape, latent_dim, num_classes, filters=64, condition_dim=128, blocks=2):
    """[latents, labels] -> sketch, image, and the distribution of the condition of each stage.

    Latents are [z, noise of stage I's condition, noise of stage II's], all standard normal. The stages are the layers
    "sketcher" (latents, labels) and "refiner" (sketches, latents, labels).

    Args:
        image_shape: (H, W, C), each side at least 8; the sketch has half the sides, rounded up.
        latent_dim: number of values of z.
        num_classes: number of classes.
        filters: channels at full size, doubled at each smaller grid.
        condition_dim: number of values of a stage's condition.
        blocks: number of residual blocks of stage II.

    Returns:
        A Functional model, [(B, latent_dim + 2 condition_dim), (B,)] -> [(B, h, w, C), (B, H, W, C) in [0, 1], twice
        (B, 2 condition_dim), means and log variances].

    Raises:
        UserError: for images too small to be halved.
    """
    check_levels(image_shape)
    small = (*sizes(image_shape, 1)[0], image_shape[-1])
    latents, label = keras.Input((latent_dim + 2 * condition_dim,), name="z"), label_input()
    ends = (latent_dim, latent_dim + condition_dim)
    condition, stats = augmented(label, num_classes, latents[:, ends[0]:ends[1]])
    sketcher = keras.Model([latents, label], [sketch(latents[:, :ends[0]], condition, small, filters), stats],
                           name="sketcher")
    drawn = keras.Input(small, name="sketch")
    condition, stats = augmented(label, num_classes, latents[:, ends[1]:])
    refiner = keras.Model([drawn, latents, label], [refine(drawn, condition, image_shape, filters, blocks), stats],
                          name="refiner")
    drawn, first = sketcher([latents, label])
    image, second = refiner([drawn, latents, label])
    return keras.Model([latents, label], [drawn, image, first, second], name="generator")


def score(image, label, num_classes, filters):
    """One stage's critic: strided convolutions to about 4x4 positions, the embedded label at each, one dense layer.

    As in the authors' code; convolutions that stop at 7x7 positions would be one, of 4x4 pixels, for sketches of 14x14.
    """
    x = from_unit(image)
    # The authors' critics end at 4x4 positions; odd sides round up.
    levels = max(0, math.ceil(math.log2(min(image.shape[1:3]) / 4)))
    x = x if levels else layers.LeakyReLU(0.2)(conv(x, filters, norm=False))
    for level, width in enumerate(widths(filters, levels)):
        x = conv(x, width, 4, 2, norm=level > 0)
        x = finish(x, lambda: layers.LeakyReLU(0.2)) if level else layers.LeakyReLU(0.2)(x)
    # A quarter as many channels as the image's at the authors' widths, 128 of 512; more would drown it.
    told = layers.LeakyReLU(0.2)(embedded(label, num_classes, max(8, x.shape[-1] // 4)))
    x = finish(conv(planes(x, told), x.shape[-1], 1), lambda: layers.LeakyReLU(0.2))
    return layers.Dense(1)(layers.Flatten()(x))


def critic(image_shape, num_classes, filters=64):
    """[sketches, images, labels] -> scores of sketches and of images, by networks without shared weights.

    Args:
        image_shape: (H, W, C), each side at least 8.
        num_classes: number of classes.
        filters: channels of the first convolution, doubled per convolution.

    Returns:
        A Functional model, [(B, h, w, C), (B, H, W, C), (B,)] -> [(B, 1), (B, 1)].

    Raises:
        UserError: for images too small to be halved.
    """
    check_levels(image_shape)
    images = [keras.Input((*grid, image_shape[-1]), name=f"x_{stage}") for stage, grid in enumerate(sizes(image_shape, 1))]
    label = label_input()
    return keras.Model([*images, label], [score(image, label, num_classes, filters) for image in images], name="critic")

"""Residual generators and critics with self-attention and class conditions (SAGAN, BigGAN)."""

import math

import keras
from keras import layers, ops

from tfgen.errors import UserError
from tfgen.layers import (
    FullPrecisionSoftmax,
    FusedBatchNorm,
    OffDiagonalOrthogonality,
    Scale,
    SpectralConv2D,
    SpectralDense,
    SpectralDoublingConv2D,
)
from tfgen.layers.doubling import double
from tfgen.networks.blocks import from_unit, to_unit
from tfgen.networks.conditioning import label_input
from tfgen.networks.grids import check_levels, sizes, widths


def attention(x, **kernel):
    """x + gamma * self-attention over all positions, gamma initially zero (Zhang et al., 2019, equations 1 to 3).

    Queries and keys have C/8 channels, values C/2; keys and values are pooled to a quarter of the positions. `kernel` are
    `kernel_initializer` and `kernel_regularizer` of the convolutions.
    """
    height, width, channels = x.shape[1:]
    narrow, middle = max(1, channels // 8), max(1, channels // 2)

    def conv(filters):
        return SpectralConv2D(filters, 1, use_bias=False, **kernel)

    def places(filters, pool):
        y = conv(filters)(x)
        y = layers.MaxPooling2D(2, padding="same")(y) if pool else y
        return layers.Reshape((-1, filters))(y)

    weights = FullPrecisionSoftmax()(ops.matmul(places(narrow, False), ops.transpose(places(narrow, True), (0, 2, 1))))
    y = layers.Reshape((height, width, middle))(ops.matmul(weights, places(middle, True)))
    return x + Scale()(conv(channels)(y))


def of_class(units):
    """A table of values per class, initially zero, as a layer on the one-hot label.

    No spectral normalisation: it bounds the norm of the whole table, so that a class could hardly move a gain.
    """
    return layers.Dense(units, use_bias=False, kernel_initializer="zeros")


def conditional_batch_norm(x, condition, linear=of_class):
    """Batch normalisation with a gain 1 + A c and a bias B c of a condition c (B, n) (de Vries et al., 2017).

    Args:
        x: features (B, h, w, C).
        condition: (B, n).
        linear: function C -> the layer A or B, (B, n) -> (B, C).
    """
    shape = (1, 1, x.shape[-1])
    gain, bias = (linear(x.shape[-1])(condition) for _ in range(2))
    gain, bias = layers.Reshape(shape)(gain), layers.Reshape(shape)(bias)
    return FusedBatchNorm(momentum=0.9, epsilon=1e-5, center=False, scale=False)(x) * (1.0 + gain) + bias


def up_block(x, filters, grid, condition, linear, kernel):
    """Residual block that doubles the grid (cropped to `grid`).

    Args:
        x: features (B, h, w, C).
        filters: channels of the output.
        grid: (height, width) of the output.
        condition, linear: as for `conditional_batch_norm`.
        kernel: {"kernel_initializer": …, "kernel_regularizer": …} of the convolutions.
    """
    def conv(width, size, **options):
        return SpectralConv2D(width, size, padding="same", **kernel, **options)

    y = layers.ReLU()(conditional_batch_norm(x, condition, linear))
    y = SpectralDoublingConv2D(filters, 3, grid, **kernel)(y)
    y = conv(filters, 3)(layers.ReLU()(conditional_batch_norm(y, condition, linear)))
    # A 1x1 convolution and nearest-neighbour doubling commute: the cheap order.
    return y + double(conv(filters, 1, use_bias=False)(x), grid)


def down_block(x, filters, first=False, halve=True, initializer="glorot_uniform"):
    """Residual block of a critic that halves the grid (rounded up)."""
    def pool(y):
        return layers.AveragePooling2D(2, padding="same")(y) if halve else y

    def conv(size):
        return SpectralConv2D(filters, size, padding="same", kernel_initializer=initializer)

    y = x if first else layers.ReLU()(x)
    y = layers.ReLU()(conv(3)(y))
    y = pool(conv(3)(y))
    skip = x if x.shape[-1] == filters else conv(1)(pool(x))
    return y + (pool(skip) if x.shape[-1] == filters else skip)


def generator(image_shape, latent_dim, num_classes, filters=64, split_latent=False, embedding=128, orthogonality=0.0,
              initializer="glorot_uniform"):
    """[latents, labels] -> images: a dense layer, residual doublings, self-attention after the first.

    Args:
        image_shape: (H, W, C), each side at least 8.
        latent_dim: number of values per latent.
        num_classes: number of classes.
        filters: channels at full size, doubled at each smaller grid.
        split_latent: split the latent into one part for the first layer and one per block, where it is concatenated with
            the shared embedding of the label (Brock et al., 2019); gains and biases are spectrally normalised then. Else
            blocks have a gain and a bias per class.
        embedding: width of the label's embedding if `split_latent`.
        orthogonality: weight of `OffDiagonalOrthogonality` on all kernels.
        initializer: name of the initializer of kernels and of the embedding.

    Returns:
        A Functional model, [(B, latent_dim), (B,)] -> (B, H, W, C) in [0, 1].

    Raises:
        UserError: for images too small, or a latent with too few values to split.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), [*widths(filters, levels)[::-1], filters]
    kernel = {"kernel_initializer": initializer,
              "kernel_regularizer": OffDiagonalOrthogonality(orthogonality) if orthogonality else None}
    z, label = keras.Input((latent_dim,), name="z"), label_input()
    if split_latent:
        share = latent_dim // (levels + 1)
        if not share:
            raise UserError(f"a split latent expects at least {levels + 1} values, one a block, received {latent_dim}")
        embedded = layers.Embedding(num_classes, embedding, embeddings_initializer=initializer)(label)
        cuts = [latent_dim - share * (levels - index) for index in range(levels + 1)]
        x = z[:, :cuts[0]]
        conditions = [layers.Concatenate()([z[:, low:high], embedded]) for low, high in zip(cuts, cuts[1:])]
    else:
        x, conditions = z, [ops.one_hot(label, num_classes)] * levels
    linear = (lambda units: SpectralDense(units, use_bias=False, **kernel)) if split_latent else of_class
    x = SpectralDense(math.prod(grids[0]) * channels[0], **kernel)(x)
    x = layers.Reshape((*grids[0], channels[0]))(x)
    for level, (grid, width, condition) in enumerate(zip(grids[1:], channels[1:], conditions)):
        x = up_block(x, width, grid, condition, linear, kernel)
        x = attention(x, **kernel) if level == 0 else x
    x = layers.ReLU()(FusedBatchNorm(momentum=0.9, epsilon=1e-5)(x))
    x = SpectralConv2D(image_shape[-1], 3, padding="same", **kernel)(x)
    return keras.Model([z, label], to_unit(layers.Activation("tanh")(x)), name="generator")


def critic(image_shape, num_classes, filters=64, initializer="glorot_uniform"):
    """[images, labels] -> scores: residual halvings, self-attention after the first, projection of the label.

    score = w . h + b + embedding(label) . h, h the features summed over positions (Miyato & Koyama, 2018).

    Args:
        image_shape: (H, W, C), each side at least 8.
        num_classes: number of classes.
        filters: channels of the first block, doubled per block.
        initializer: name of the initializer of kernels.

    Returns:
        A Functional model, [(B, H, W, C) in [0, 1], (B,)] -> (B, 1).
    """
    image, label = keras.Input(image_shape, name="x"), label_input()
    x = from_unit(image)
    for level, width in enumerate(widths(filters, check_levels(image_shape))):
        x = down_block(x, width, first=level == 0, initializer=initializer)
        x = attention(x, kernel_initializer=initializer) if level == 0 else x
    x = down_block(x, x.shape[-1], halve=False, initializer=initializer)
    features = ops.sum(layers.ReLU()(x), axis=(1, 2))
    embedded = SpectralDense(features.shape[-1], use_bias=False, kernel_initializer=initializer)(
        ops.one_hot(label, num_classes))
    score = SpectralDense(1, kernel_initializer=initializer)(features) + ops.sum(embedded * features, axis=-1, keepdims=True)
    return keras.Model([image, label], score, name="critic")

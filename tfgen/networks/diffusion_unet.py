"""The U-Net of diffusion models, and a classifier of noisy images with the same blocks."""

import keras
from keras import layers, ops

from tfgen.errors import require
from tfgen.layers import DoublingConv2D, Dropout, FullPrecisionSoftmax, GroupNorm, Sinusoids
from tfgen.networks.conditioning import label_input
from tfgen.networks.grids import crop_to, sizes, to_patches, unpack


def norm(x, *modulation):
    """Group normalisation, of at most 32 groups of at least 4 channels, and scale and shift of each image, if given."""
    channels = x.shape[-1]
    groups = next(n for n in range(min(32, max(1, channels // 4)), 0, -1) if channels % n == 0)
    return GroupNorm(groups)(x, *modulation)


def spread():
    """Where weights of convolutions start (Glorot & Bengio, 2010)."""
    return keras.initializers.VarianceScaling(1.0, "fan_avg", "uniform")


def convolution(x, filters, size=3, strides=1, zero=False):
    """A convolution, whose weights start at 0 if asked: a block starts as the identity."""
    return layers.Conv2D(filters, size, strides=strides, padding="same",
                         kernel_initializer=keras.initializers.Zeros() if zero else spread())(x)


def residual(x, filters, embedding, dropout=0.0):
    """x + f(x), f two 3x3 convolutions, with scale and shift of the second normalisation from the embedding (Dhariwal &
    Nichol, 2021, section 3.1)."""
    made = convolution(layers.Activation("silu")(norm(x)), filters)
    made = layers.Activation("silu")(norm(made, layers.Dense(2 * filters)(embedding)))
    made = convolution(Dropout(dropout)(made) if dropout else made, filters, zero=True)
    return layers.Add()([x if x.shape[-1] == filters else convolution(x, filters, 1), made])


def attention(x, heads):
    """x + self-attention over the places of the grid."""
    height, width, channels = x.shape[1:]
    # As rows (B places, channels): a dense layer of more axes first finds out their sizes.
    rows = ops.reshape(norm(x), (-1, channels))

    def by_head():
        """(B, heads, places, channels per head)."""
        made = layers.Dense(channels)(rows)
        # With one head nothing moves; a permutation would be copied.
        return (ops.reshape(made, (-1, 1, height * width, channels)) if heads == 1 else
                ops.transpose(ops.reshape(made, (-1, height * width, heads, channels // heads)), (0, 2, 1, 3)))

    query, key, value = (by_head() for _ in range(3))
    # (B, heads, places, places); plain products are faster here than the einsums of dot_product_attention.
    weights = FullPrecisionSoftmax()((query * (channels // heads)**-0.5) @ ops.swapaxes(key, -1, -2))
    made = weights @ value
    rows = ops.reshape(made if heads == 1 else ops.transpose(made, (0, 2, 1, 3)), (-1, channels))
    made = layers.Dense(channels, kernel_initializer="zeros")(rows)
    return layers.Add()([x, ops.reshape(made, (-1, height, width, channels))])


def embedded(level, width, label=None, num_classes=None):
    """The embedding of a level of noise, ln(sigma) / 4, and of a label: (B, width) after an activation."""
    made = layers.Dense(width)(layers.Activation("silu")(layers.Dense(width)(Sinusoids(width)(level))))
    if label is not None:
        # One more class is that of no label.
        made = layers.Add()([made, layers.Embedding(num_classes + 1, width)(label)])
    return layers.Activation("silu")(made)


def unet(image_shape, filters=64, multipliers=(1, 2, 2), blocks=2, attention_levels=(1, 2), heads=4, dropout=0.0,
         num_classes=None, outputs=None, patch=1):
    """U-Net with residual blocks, attention and an embedding of the level (Ho et al., 2020; Dhariwal & Nichol, 2021).

    Args:
        image_shape: (H, W, C).
        filters: channels of the image's own grid.
        multipliers: of `filters`, for each grid, each half as fine as the one before (sides round up).
        blocks: residual blocks per grid on the way down; one more on the way up.
        attention_levels: numbers of the grids, from 0, whose blocks are followed by attention.
        heads: attention heads, a divisor of the channels there.
        dropout: rate in the residual blocks, in training.
        num_classes: if given, the network takes a label too, `num_classes` for none.
        outputs: channels of the output; None: C. They start at 0.
        patch: side of the squares of pixels that are one place of the finest grid (Luhman & Luhman, 2022): 2 leaves a
            quarter of the work, or lets the network be twice as wide.

    Returns:
        A Functional model, [images (B, H, W, C), levels (B,)(, labels int (B,))] -> (B, H, W, outputs).

    Raises:
        UserError: for heads that do not divide the channels.
    """
    image, level = keras.Input(image_shape, name="x"), keras.Input((), name="level")
    inputs = [image, level, label_input()] if num_classes else [image, level]
    embedding = embedded(level, 4 * filters, *([inputs[2], num_classes] if num_classes else []))
    x = to_patches(image, patch) if patch > 1 else image
    widths, grids = [filters * multiplier for multiplier in multipliers], sizes(x.shape[1:], len(multipliers) - 1)[::-1]
    for number in attention_levels:
        require(number >= len(widths) or widths[number] % heads == 0,
                f"expected attention heads that divide {widths[number:number + 1]} channels, received {heads}")

    def block(x, number):
        x = residual(x, widths[number], embedding, dropout)
        return attention(x, heads) if number in attention_levels else x

    x = convolution(x, filters)
    skips = [x]
    for number in range(len(widths)):
        if number:
            x = convolution(x, widths[number - 1], strides=2)
            skips.append(x)
        for _ in range(blocks):
            x = block(x, number)
            skips.append(x)
    x = residual(block(x, len(widths) - 1), widths[-1], embedding, dropout)
    for number in reversed(range(len(widths))):
        for _ in range(blocks + 1):
            x = block(layers.Concatenate()([x, skips.pop()]), number)
        if number:
            x = DoublingConv2D(widths[number], 3, grids[number - 1], kernel_initializer=spread())(x)
    outputs = outputs or image_shape[-1]
    x = convolution(layers.Activation("silu")(norm(x)), patch**2 * outputs, zero=True)
    return keras.Model(inputs, crop_to(unpack(x, patch, outputs), image_shape[:2]), name="unet")


def classifier(image_shape, num_classes, filters=32, multipliers=(1, 2, 2), blocks=1):
    """Images at a level of noise -> logits: the way down of `unet`, then the mean over places.

    Returns:
        A Functional model, [images (B, H, W, C), levels (B,)] -> (B, num_classes).
    """
    image, level = keras.Input(image_shape, name="x"), keras.Input((), name="level")
    embedding = embedded(level, 4 * filters)
    x = convolution(image, filters)
    for number, multiplier in enumerate(multipliers):
        if number:
            x = convolution(x, filters * multiplier, strides=2)
        for _ in range(blocks):
            x = residual(x, filters * multiplier, embedding)
    x = layers.GlobalAveragePooling2D()(layers.Activation("silu")(norm(x)))
    return keras.Model([image, level], layers.Dense(num_classes)(x), name="classifier")

"""PixelCNN++: two streams at several resolutions, with short-cut connections."""

import keras
from keras import layers, ops

from tfgen.errors import require
from tfgen.layers import AppendOnes, Dropout, Gate, HorizontalConv, PixelUpsampling, VerticalConv, VerticalUpsampling
from tfgen.networks.blocks import from_unit


def pixelcnnpp(image_shape, parameters, filters=160, blocks=5, levels=3, dropout=0.5):
    """PixelCNN++ (Salimans et al., 2017), causal over pixels, for a likelihood that joins the channels of a pixel.

    One stream sees the rows above, by convolutions of 2x3; the other also the pixels to the left, by convolutions of 2x2.
    They go down through `levels` grids and up again, with `blocks` gated residual blocks per grid and direction (one more on
    the way up, but on the coarsest grid). Each block on the way up takes the output of its counterpart on the way down.

    Args:
        image_shape: (H, W, C); 2^(levels - 1) divides H and W.
        parameters: channels of the output.
        filters: channels of both streams.
        blocks: residual blocks per grid and direction.
        levels: number of grids, each half as fine as the one before.
        dropout: rate in each block, in training.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, parameters). Unlike in the official code, weights are neither
        normalised nor initialised from data.

    Raises:
        UserError: for images that cannot be halved.
    """
    require(all(side % 2 ** (levels - 1) == 0 for side in image_shape[:2]),
            f"pixelcnnpp with levels={levels} expects sides that {2 ** (levels - 1)} divides, received {image_shape}")
    image = keras.Input(image_shape, name="x")
    x = AppendOnes()(from_unit(image))
    above = VerticalConv(filters, 2, 1, 1, strict=True)(x)
    left = layers.Add()([VerticalConv(filters, 1, 1, 1, strict=True)(x), HorizontalConv(filters, 1, strict=True)(x)])
    streams = [(above, left)]
    for level in range(levels):
        for _ in range(blocks):
            above = block(above, None, filters, dropout, down)
            left = block(left, above, filters, dropout, down_right)
            streams.append((above, left))
        if level < levels - 1:
            above, left = down(above, filters, 2), down_right(left, filters, 2)
            streams.append((above, left))
    above, left = streams.pop()
    for level in range(levels):
        for _ in range(blocks + (level > 0)):
            other_above, other_left = streams.pop()
            above = block(above, other_above, filters, dropout, down)
            left = block(left, layers.Concatenate()([above, other_left]), filters, dropout, down_right)
        if level < levels - 1:
            above, left = VerticalUpsampling(filters)(above), PixelUpsampling(filters)(left)
    return keras.Model(image, layers.Dense(parameters)(layers.Activation("elu")(left)), name="network")


def start(gain):
    """Glorot's initializer times a gain."""
    return keras.initializers.VarianceScaling(gain**2, "fan_avg", "uniform")


def down(x, filters, strides=1, gain=1.0):
    """Convolution over the own row and the one above, of 2x3."""
    return VerticalConv(filters, 1, 1, 1, strides=strides, kernel_initializer=start(gain))(x)


def down_right(x, filters, strides=1, gain=1.0):
    """Convolution over the own pixel, the one to the left and the two above these, of 2x2."""
    above = VerticalConv(filters, 1, 1, 0, strict=True, strides=strides, use_bias=False, kernel_initializer=start(gain))(x)
    return layers.Add()([above, HorizontalConv(filters, 1, strides=strides, kernel_initializer=start(gain))(x)])


def concat_elu(x):
    """ELU of x and -x, side by side."""
    return layers.Activation("elu")(layers.Concatenate()([x, ops.negative(x)]))


def block(x, other, filters, dropout, conv):
    """Gated residual block; `other`: a map that is added by 1x1, or None.

    As in the official code, its last convolution starts at a tenth of the usual scale, so that the block starts near the
    identity: with 28 blocks, the outputs would otherwise start in the hundreds.
    """
    y = conv(concat_elu(x), filters)
    if other is not None:
        y = layers.Add()([y, layers.Dense(filters)(concat_elu(other))])
    y = conv(Dropout(dropout)(concat_elu(y)), 2 * filters, gain=0.1)
    return layers.Add()([x, Gate("linear")(y)])

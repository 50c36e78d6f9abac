"""Sizes and widths of the levels of a network, and changes of resolution."""

import math

from keras import layers, ops

from tfgen.errors import UserError


def halvings(image_shape, least=4):
    """How often an image can be halved with both sides at least `least` pixels; odd sides round up."""
    return max(0, math.floor(math.log2(min(image_shape[:2]) / least)))


def sizes(image_shape, levels):
    """[(h, w)] from the smallest grid to the image, with sides halved (rounded up) `levels` times."""
    found = [tuple(image_shape[:2])]
    for _ in range(levels):
        found.append(tuple((side + 1) // 2 for side in found[-1]))
    return found[::-1]


def widths(filters, levels):
    """Channels per level from the image inwards, doubled at each halving."""
    return [filters * 2**level for level in range(levels)]


def crop_to(x, size):
    """Crops features to (h, w), if an odd side was doubled to one pixel more."""
    extra = (x.shape[1] - size[0], x.shape[2] - size[1])
    return layers.Cropping2D(((0, extra[0]), (0, extra[1])))(x) if extra != (0, 0) else x


def to_patches(x, side):
    """(B, H, W, C) -> (B, h, w, side^2 C): squares of side x side pixels become places; missing pixels are 0."""
    height, width, channels = x.shape[1:]
    rows, columns = -(-height // side), -(-width // side)
    if (missing := (rows * side - height, columns * side - width)) != (0, 0):
        x = layers.ZeroPadding2D(((0, missing[0]), (0, missing[1])))(x)
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((rows, side, columns, side, channels))(x))
    return layers.Reshape((rows, columns, side * side * channels))(x)


def unpack(x, side, channels):
    """(B, h, w, side^2 channels) -> (B, side h, side w, channels)."""
    if side == 1:
        return x
    height, width = x.shape[1:3]
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((height, width, side, side, channels))(x))
    return layers.Reshape((side * height, side * width, channels))(x)


def check_levels(image_shape):
    """The number of halvings of an image.

    Raises:
        UserError: if the image cannot be halved.
    """
    levels = halvings(image_shape)
    if levels < 1:
        raise UserError(f"a convolutional generator expects images of at least 8x8 pixels, received "
                         f"{image_shape[0]}x{image_shape[1]}; use the recipe gan, or a larger image_size")
    return levels


def halve(x):
    """(B, h, w, C) -> means of 2x2 pixels; sides halve, rounded up."""
    return ops.average_pool(x, 2, 2, padding="same")


def fade(old, new, alpha):
    """(1 - alpha) * old + alpha * new."""
    return old + alpha * (new - old)

"""Augmentations of training images, each a function of a seed; the data stream applies them."""

import math

from keras import ops

from tfgen import noise
from tfgen.errors import UserError
from tfgen.layers.corruption import Corruption
from tfgen.serialization import serializable


@serializable
class Jitter(Corruption):
    """Random jitter: enlarges by `scale`, crops the original size at a random position, mirrors with probability 1/2.

    The papers enlarge 256 to 286 pixels (Isola et al., 2017, section 6.2; Zhu et al., 2017). Bilinear interpolation; a
    row of the result is a weighted sum of rows, so that the layer is two matrix products.

    Args:
        scale: >= 1.
        flip: whether to mirror each image left to right with probability 1/2.

    Raises:
        UserError: for a scale under 1.
    """

    use = noise.AUGMENTATION

    def __init__(self, scale=286 / 256, flip=True, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if scale < 1:
            raise UserError(f"Jitter(scale) expects a number of at least 1, received {scale}")
        self.scale = scale
        self.flip = flip

    def noise_shape(self, image_shape):
        return (3,)

    def positions(self, uniforms, length):
        """Positions in the image of the crop's pixels: (B, length)."""
        large = round(length * self.scale)
        # Crops begin at whole pixels of the enlarged image.
        start = ops.floor(uniforms[:, None] * (large - length + 1))
        centre = (ops.arange(length, dtype="float32")[None, :] + start + 0.5) * (length / large) - 0.5
        return ops.clip(centre, 0.0, length - 1.0)

    def corrupt(self, x, uniforms):
        _, height, width, _ = x.shape
        rows, columns = self.positions(uniforms[:, 0], height), self.positions(uniforms[:, 1], width)
        if self.flip:
            columns = ops.where(uniforms[:, 2:] < 0.5, width - 1.0 - columns, columns)
        return ops.einsum("bih,bhwc,bjw->bijc", bilinear(rows, height), x, bilinear(columns, width))


def bilinear(positions, length):
    """Bilinear interpolation weights (B, N, length) of a line of `length` pixels at positions (B, N)."""
    return ops.relu(1.0 - ops.abs(positions[:, :, None] - ops.arange(length, dtype="float32")))


def shifted(x, down, right):
    """Images (B, H, W, C) moved by pixels (B, 1) down and to the right; 0 comes in."""
    _, height, width, _ = x.shape
    rows, columns = (ops.arange(side, dtype="float32")[None, :] - by for side, by in ((height, down), (width, right)))
    return ops.einsum("bih,bhwc,bjw->bijc", bilinear(rows, height), x, bilinear(columns, width))


@serializable
class Rotation(Corruption):
    """Rotates each image about its centre by an angle ~ U(-degrees, degrees), bilinear, with reflection at the borders.

    Args:
        degrees: 0 ... 180.
        flip: whether to mirror each image left to right with probability 1/2 first.

    Raises:
        UserError: for degrees out of range.
    """

    use = noise.AUGMENTATION

    def __init__(self, degrees=45.0, flip=False, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not 0 <= degrees <= 180:
            raise UserError(f"Rotation(degrees) expects a number in 0 ... 180, received {degrees}")
        self.degrees = degrees
        self.flip = flip

    def noise_shape(self, image_shape):
        return (2,)

    def corrupt(self, x, uniforms):
        _, height, width, _ = x.shape
        if self.flip:
            x = ops.where(uniforms[:, 1, None, None, None] < 0.5, x[:, :, ::-1], x)
        if not self.degrees:
            return x
        angle = math.radians(self.degrees) * (2.0 * uniforms[:, 0] - 1.0)
        cosine, sine, zero = ops.cos(angle), ops.sin(angle), ops.zeros_like(angle)
        right, down = (width - 1) / 2, (height - 1) / 2  # of the centre
        # Where a pixel (column, row) of the result comes from: a0 column + a1 row + a2, b0 column + b1 row + b2.
        rows = [cosine, -sine, right - cosine * right + sine * down, sine, cosine, down - sine * right - cosine * down]
        return ops.image.affine_transform(x, ops.stack([*rows, zero, zero], axis=1), "bilinear", fill_mode="reflect")

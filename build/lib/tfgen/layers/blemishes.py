"""Simulated defects of normal images, from which a detector learns to segment anomalies."""

import math

import tensorflow as tf
from keras import ops

from tfgen.errors import UserError
from tfgen.layers.corruption import Corruption
from tfgen.serialization import serializable

# Upper bounds of the shares of blobs, curves and rectangles; the rest stays clean.
BLOBS, CURVES, RECTANGLES = 0.2, 0.65, 0.9
COARSE, FINE = 4, 7  # places a side of the grids that smooth noise is interpolated from
UNIFORMS_PER_IMAGE = 13


@serializable
class Blemishes(Corruption):
    """Covers regions of nine in ten images with other content, after Zavrtanik et al. (2021).

    x (1 - b m) + b m c, with the opacity b ~ min(1, U(opacity, 2 - opacity)). The mask m is where smooth noise is high (a
    blob with a more or less soft edge), where it is about zero (curves, cut by a second noise), or a rectangle. The content
    c is a colour (for curves dark or bright), plain or with noise; or the image upside down with another brightness.
    On grey-valued RGB images the blemish is grey too, so that colour does not give it away.

    Args:
        opacity: minimum opacity, in (0, 1].
        seed: seed of the layer's random state; None uses Keras' global seed.

    Raises:
        UserError: for an opacity out of range.
    """

    def __init__(self, opacity=0.5, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not 0 < opacity <= 1:
            raise UserError(f"Blemishes(opacity) expects a share in (0, 1], received {opacity}")
        self.opacity = opacity

    def sizes(self, image_shape):
        """Sizes of the parts of one image's uniforms: scalars, colour, and noise grids."""
        height, width, channels = image_shape
        return [UNIFORMS_PER_IMAGE, channels, COARSE**2, COARSE**2, FINE**2, math.ceil(height / 2) * math.ceil(width / 2)]

    def noise_shape(self, image_shape):
        return (sum(self.sizes(image_shape)),)

    def blemish(self, x, uniforms):
        """(blemished images (B, H, W, C), masks (B, H, W, 1): 1 at visible blemishes, else 0)."""
        _, height, width, channels = x.shape
        numbers, colour, *grids = tf.split(uniforms, self.sizes(x.shape[1:]), axis=1)
        numbers = iter(tf.split(numbers[:, :, None, None], UNIFORMS_PER_IMAGE, axis=1))
        places = (COARSE, COARSE), (COARSE, COARSE), (FINE, FINE), (math.ceil(height / 2), math.ceil(width / 2))
        coarse, cut, middle, grain = (smooth(grid, *size, height, width) for grid, size in zip(grids, places))

        def between(low, high):
            return low + (high - low) * next(numbers)  # (B, 1, 1, 1)

        kind = next(numbers)
        curved = (kind >= BLOBS) & (kind < CURVES)
        blob = ops.sigmoid((tf.where(next(numbers) < 0.5, coarse, middle) - between(0.8, 1.6)) * between(3.0, 30.0))
        # Half as thick as 1 to 3 % of the image.
        thick = ops.maximum(between(0.01, 0.03) * min(height, width), 0.5)
        curve = ops.clip(thick + 0.5 - distance(coarse), 0.0, 1.0) * ops.cast(cut > -0.3, x.dtype)
        rectangle = band(between(0.0, height), between(1 / 16, 1 / 4) * height, (1, -1, 1, 1), height) * band(
            between(0.0, width), between(1 / 16, 1 / 4) * width, (1, 1, -1, 1), width)
        mask = tf.where(kind < BLOBS, blob, tf.where(kind < CURVES, curve, tf.where(
            kind < RECTANGLES, rectangle, ops.zeros_like(rectangle))))
        colour = tf.reshape(colour, (-1, 1, 1, channels))
        grey = ops.max(ops.max(x, axis=-1) - ops.min(x, axis=-1), axis=(1, 2))[:, None, None, None] < 1 / 64
        colour = tf.where(grey, colour[..., :1], colour)
        # Of curves by the arcsine law: extremes are the most frequent.
        plain = tf.where(curved, ops.square(ops.sin(0.5 * math.pi * colour)), colour)
        texture, other, shift = next(numbers), next(numbers), next(numbers)
        plain += tf.where(texture < 0.5, 0.0, 0.4 * (texture - 0.5)) * tf.where(shift < 0.5, grain, middle)
        turned = x[:, ::-1, ::-1]
        lit = turned * (0.6 + 0.8 * texture) + 0.4 * (shift - 0.5)
        content = tf.where(curved | (other < 0.8), plain, lit)
        # Every second one is opaque.
        opacity = ops.minimum(between(self.opacity, 2.0 - self.opacity), 1.0)
        image = ops.clip(x + opacity * mask * (content - x), 0.0, 1.0)
        return image, ops.cast(mask > 0.25, x.dtype)

    def corrupt(self, x, uniforms):
        return self.blemish(x, uniforms)[0]


def smooth(uniforms, rows, columns, height, width):
    """Smooth noise (B, height, width, 1) with standard deviation 1, interpolated from a normal grid of rows x columns."""
    grid = math.sqrt(2.0) * ops.erfinv(ops.clip(2.0 * uniforms - 1.0, -0.999999, 0.999999))
    noise = tf.image.resize(tf.reshape(grid, (-1, rows, columns, 1)), (height, width), "bicubic")
    return noise / (tf.math.reduce_std(noise, axis=(1, 2), keepdims=True) + 1e-6)


def distance(field):
    """Approximate distance in pixels to the zeros of a field (B, H, W, 1): |f| / |grad f|."""
    down, right = tf.image.image_gradients(field)
    return ops.abs(field) / (ops.sqrt(ops.square(down) + ops.square(right)) + 1e-3)


def band(centre, half, shape, length):
    """1 up to `half` pixels from `centre`, both (B, 1, 1, 1), along the axis of `shape` that is not 1; else 0."""
    position = tf.reshape(tf.range(length, dtype=centre.dtype), shape)
    return ops.cast(ops.abs(position - centre) < half, centre.dtype)

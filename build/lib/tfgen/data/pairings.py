"""Pairings: compute a translation source (edges, grey, low resolution, erased) from each target image; also resizing.

A pairing has a `name` (accepted by `by_name`) and `source_shape(image_shape) -> (H, W, C)`. Called with a record of a
batch (`tfgen.data.views`), it computes from "image" and "seed" the sources, float32 (B, H, W, C) in [0, 1]. It is a pure
TensorFlow function, so that it can run inside the data stream.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from tfgen.errors import UserError, did_you_mean
from tfgen.layers.corruption import EraseRegion

SIDE_BY_SIDE = ("side_by_side", "side_by_side_reversed")  # pairs stored in the image files, split by `load`


def luminance(images):
    """Rec. 601: 0.299 R + 0.587 G + 0.114 B. (B, H, W, 3) -> (B, H, W, 1); grey images stay as they are."""
    return images if images.shape[-1] == 1 else images @ tf.constant([[0.299], [0.587], [0.114]])


def downscale(images, factor):
    """The mean of each block of factor x factor pixels.

    Args:
        images: float (B, H, W, C).
        factor: int >= 1 that divides H and W.

    Returns:
        (B, H / factor, W / factor, C).

    Raises:
        UserError: if the factor does not divide H and W.
    """
    height, width, channels = images.shape[1:]
    if factor < 1 or height % factor or width % factor:
        raise UserError(f"downscale(factor) expects a factor that divides the sides {height}x{width}, received {factor}")
    blocks = tf.reshape(images, (-1, height // factor, factor, width // factor, factor, channels))
    return tf.reduce_mean(blocks, axis=(2, 4))


@functools.cache
def _cubic(old, new):
    """Weights of Keys' cubic interpolation from `old` to `new` pixels: float32 (new, old), each row sums to 1."""
    away = np.abs((np.arange(new)[:, None] + 0.5) * old / new - 0.5 - np.arange(old))
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((2.5 - 0.5 * away) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def upscale(images, size):
    """Bicubic interpolation (Keys, 1981, a = -1/2), clipped to [0, 1].

    Agrees with `tf.image.resize(images, size, "bicubic")`, but also runs with XLA and on a GPU.

    Args:
        images: float32 (B, H, W, C) in [0, 1].
        size: (height, width), or one int for both; at least H and W.

    Returns:
        (B, height, width, C).

    Raises:
        UserError: a size below that of the images.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < images.shape[1] or width < images.shape[2]:
        raise UserError(f"upscale(size) expects at least {images.shape[1]}x{images.shape[2]}, received {height}x{width}")
    images = tf.einsum("Hh,bhwc->bHwc", _cubic(images.shape[1], height), images)
    return tf.clip_by_value(tf.einsum("Ww,bhwc->bhWc", _cubic(images.shape[2], width), images), 0.0, 1.0)


def _check_channels(name, image_shape, allowed, hint):
    if image_shape[2] not in allowed:
        raise UserError(f"the pairing {name!r} expects images of {' or '.join(map(str, allowed))} channels, "
                        f"received {image_shape[2]}: {hint}")


def _filtered(images, kernel):
    """Correlates images (B, H, W, 1) with a kernel (h, w) of odd sides; borders are mirrored."""
    rows, columns = (side // 2 for side in kernel.shape)
    padded = tf.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), "SYMMETRIC")
    return tf.nn.conv2d(padded, kernel[:, :, None, None].astype(np.float32), 1, "VALID")


def _beside(images, down, right):
    """The neighbour `down` rows below and `right` columns to the right of each pixel (0 beyond the border)."""
    height, width = images.shape[1:3]
    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return padded[:, 1 + down:1 + down + height, 1 + right:1 + right + width]


def edges(images, low=0.1, high=0.25, sigma=0.8, floor=0.05):
    """Edge map (Canny, 1986): thin white lines on black.

    Steps: luminance, Gaussian blur, Sobel gradient, non-maximum suppression (directions rounded to 45 degrees),
    hysteresis with two thresholds. Canny keeps all weak edges connected to a strong one; this keeps those within four
    pixels of one.

    Args:
        images: float32 (B, H, W, 1 or 3) in [0, 1].
        low, high: thresholds, relative to the largest gradient of each image.
        sigma: standard deviation of the blur in pixels.
        floor: lower bound of that largest gradient, in brightness per pixel; keeps uniform images empty.

    Returns:
        float32 (B, H, W, 1) of 0 and 1.
    """
    radius = math.ceil(2.5 * sigma)
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma)**2)
    bell = bell[None] / bell.sum()
    grey = _filtered(_filtered(luminance(images), bell), bell.T)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    right, down = _filtered(grey, sobel), _filtered(grey, sobel.T)
    length = tf.sqrt(right**2 + down**2)

    def peak(rows, columns):
        # Of two equal neighbours the first counts as the peak; the margin absorbs rounding errors.
        return (length > _beside(length, -rows, -columns) + 1e-5) & (length >= _beside(length, rows, columns) - 1e-5)

    flat = math.tan(math.pi / 8)
    across, along = tf.abs(down) <= flat * tf.abs(right), tf.abs(right) <= flat * tf.abs(down)
    peaks = tf.where(across, peak(0, 1), tf.where(along, peak(1, 0), tf.where(right * down > 0, peak(1, 1), peak(1, -1))))
    scale = tf.maximum(tf.reduce_max(length, axis=(1, 2, 3), keepdims=True), floor)
    weak = tf.cast(peaks & (length > low * scale), tf.float32)
    lines = tf.cast(peaks & (length > high * scale), tf.float32)
    for _ in range(4):
        lines = weak * tf.nn.max_pool2d(lines, 3, 1, "SAME")
    return lines


class Edges:
    """Pairing: the edge map of an image, one channel."""

    name = "edges"

    def source_shape(self, image_shape):
        _check_channels(self.name, image_shape, (1, 3), "convert them to grey or RGB")
        return (*image_shape[:2], 1)

    def __call__(self, record):
        return edges(record["image"])


class Grey:
    """Pairing: the luminance of a colour image, one channel."""

    name = "grey"

    def source_shape(self, image_shape):
        _check_channels(self.name, image_shape, (3,), "there are no colours to give back; use 'edges' or another pairing")
        return (*image_shape[:2], 1)

    def __call__(self, record):
        return luminance(record["image"])


class LowResolution:
    """Pairing: an image reduced to 1 / factor of its resolution by block means, enlarged again by `upscale`.

    Args:
        factor: int >= 2; if it does not divide a side, the reduced side is rounded up.

    Raises:
        UserError: for a factor below 2 or not whole.
    """

    def __init__(self, factor=4):
        if factor != int(factor) or factor < 2:
            raise UserError(f"low_resolution expects a whole factor >= 2, received {factor}: use low_resolution:4, say")
        self.factor = int(factor)
        self.name = f"low_resolution:{self.factor}"

    def source_shape(self, image_shape):
        if self.factor > min(image_shape[:2]):
            raise UserError(f"{self.name} expects images of at least {self.factor} pixels per side, received "
                            f"{image_shape[0]}x{image_shape[1]}: choose a smaller factor")
        return tuple(image_shape)

    def __call__(self, record):
        images = record["image"]
        small = [-(-side // self.factor) for side in images.shape[1:3]]
        exact = [self.factor * side for side in small] == images.shape[1:3]
        reduced = downscale(images, self.factor) if exact else tf.image.resize(images, small, "area")
        return upscale(reduced, images.shape[1:3])


class Erased:
    """Pairing: an image with a random grey rectangle (Pathak et al., 2016), drawn anew in every training epoch.

    Args:
        share: largest side of the rectangle as a fraction of the image's side, in (0, 1]; the smallest is half of it.

    Raises:
        UserError: for a share out of range.
    """

    def __init__(self, share=0.5):
        if not 0 < share <= 1:
            raise UserError(f"erased expects a share in (0, 1], received {share:g}: use erased:0.5, say")
        self.name = f"erased:{share:g}"
        self._region = EraseRegion(share / 2, share, 0.5, seed=0)

    def source_shape(self, image_shape):
        return tuple(image_shape)

    def __call__(self, record):
        return self._region.seeded(record["image"], record["seed"])


_PAIRINGS = {"edges": Edges, "grey": Grey, "low_resolution": LowResolution, "erased": Erased}


def by_name(text):
    """The pairing called 'edges', 'grey', 'low_resolution' or 'erased'; the last two may end in a number.

    Args:
        text: name, or name:number: 'low_resolution:4' (the factor), 'erased:0.5' (the largest share).

    Raises:
        UserError: for an unknown name, with the nearest one, or an invalid or unexpected number.
    """
    name, colon, number = str(text).partition(":")
    if name not in _PAIRINGS:
        raise UserError(f"pairs are one of {', '.join(map(repr, (*_PAIRINGS, *SIDE_BY_SIDE)))}, received {str(text)!r}"
                        f"{did_you_mean(name, (*_PAIRINGS, *SIDE_BY_SIDE))}: use one of them")
    if not colon:
        return _PAIRINGS[name]()
    if name in ("edges", "grey"):
        raise UserError(f"the pairing {name!r} expects no number, received {str(text)!r}: use {name}")
    try:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise UserError(f"the pairing {name!r} expects a number after the colon, received {str(text)!r}: "
                        f"use {_PAIRINGS[name]().name}, say") from None
    return _PAIRINGS[name](value)

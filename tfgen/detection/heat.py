"""Heat over images: where they are anomalous."""

import matplotlib
import numpy as np

from tfgen.data.readers.resize import restore, windows

COLOURS = matplotlib.colormaps["autumn_r"]  # yellow to red, bright at both ends
OPACITY = 0.75  # of full heat


def scale(maps, called):
    """Where heat begins and where it is full in pictures that are to be compared.

    Args:
        maps: float (N, H, W), of the strangest image first.
        called: bool (N,), whether an image is called anomalous.

    Returns:
        Two floats: the median pixel of the less anomalous half, and the median peak of the images called anomalous, or
        the highest peak where none is.
    """
    begins = np.median(maps[len(maps) // 2:])
    peaks = maps.max(axis=(1, 2))
    return float(begins), float(np.median(peaks[called]) if called.any() else peaks.max())


def overlay(image, heat, begins, full, mode="stretch"):
    """An image in grey under its map; opacity grows with heat, so normal areas stay visible.

    Args:
        image: float32 (H, W, C) in [0, 1].
        heat: float (h, w), of the image as the model was shown it; brought to the image's size.
        begins, full: see `scale`.
        mode: how the image was resized for the model, see `tfgen.data.readers.resize.resize`;
            what was cropped away has no heat.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    (top, height), (left, width) = windows(image.shape[:2], heat.shape, mode)[0]
    shown = restore(heat[..., None].astype(np.float32), image.shape[:2], mode)
    heat = np.full((*image.shape[:2], 1), -np.inf, np.float32)
    heat[top:top + height, left:left + width] = shown
    heat = np.clip((heat - begins) / max(full - begins, 1e-12), 0.0, 1.0)  # (H, W, 1)
    return (1.0 - OPACITY * heat) * image.mean(axis=2, keepdims=True) + OPACITY * heat * COLOURS(heat[..., 0])[..., :3]


def overlays(images, maps):
    """Several images under their maps, each half of them taken for the less anomalous: float32 (N, H, W, 3).

    Args:
        images: float32 (N, H, W, C) in [0, 1].
        maps: float (N, h, w).
    """
    order = np.argsort(-maps.max(axis=(1, 2)))
    shown = scale(maps[order], np.zeros(len(maps), bool))
    return np.stack([overlay(image, one, *shown) for image, one in zip(images, maps)]).astype(np.float32)

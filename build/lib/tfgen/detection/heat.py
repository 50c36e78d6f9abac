"""Heat maps: overlays of anomaly maps on images."""

import matplotlib
import numpy as np

from tfgen.data.readers.resize import restore, windows

COLOURS = matplotlib.colormaps["autumn_r"]  # yellow to red, both bright
OPACITY = 0.75  # at full heat


def scale(maps, called):
    """Lower and upper end of a colour scale shared by several anomaly maps.

    Args:
        maps: N arrays (H, W) of any sizes, sorted by decreasing anomaly.
        called: bool (N,), whether each image is classified as anomalous.

    Returns:
        Two floats: the median pixel of the less anomalous half, and the median peak of images classified as anomalous
        (if there are none, the highest peak).
    """
    begins = np.median(np.concatenate([one.ravel() for one in maps[len(maps) // 2:]]))
    peaks = np.array([one.max() for one in maps])
    return float(begins), float(np.median(peaks[called]) if called.any() else peaks.max())


def overlay(image, heat, begins, full, mode="stretch"):
    """Overlays an anomaly map on a grey image; opacity grows with heat, so that normal areas stay visible.

    Args:
        image: float32 (H, W, C) in [0, 1].
        heat: float (h, w), map of the resized image; it is resized back to the image's size.
        begins, full: lower and upper end of the colour scale, see `scale`.
        mode: resizing mode of the model's input, see `tfgen.data.readers.resize.resize`; areas cropped away have no heat.

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
    """Overlays for several images, float32 (N, H, W, 3); the half with lower peaks defines the scale's lower end.

    Args:
        images: float32 (N, H, W, C) in [0, 1].
        maps: float (N, h, w).
    """
    order = np.argsort(-maps.max(axis=(1, 2)))
    shown = scale(maps[order], np.zeros(len(maps), bool))
    return np.stack([overlay(image, one, *shown) for image, one in zip(images, maps)]).astype(np.float32)

"""Arrays as pictures of the page: uint8 (H, W, 3), enlarged by nearest neighbour."""

import math

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from tfgen import pictures

WIDEST, TALLEST, THUMBNAIL = 880, 620, 84  # pixels
TILE = 224  # of a single image, at most
COLUMNS, MOST_COLUMNS = 8, 12
GOLDEN = (5**0.5 - 1) / 2


def sheet(images, columns=None, widest=WIDEST, tile=TILE):
    """A grid of images (N, H, W, C), as large as fits into `widest` x TALLEST pixels, tiles of at most `tile` pixels."""
    images = pictures.panels(np.asarray(images, np.float32))
    columns = min(len(images), columns or (COLUMNS if len(images) >= 2 * COLUMNS else math.ceil(math.sqrt(len(images)))))
    rows, (height, width) = -(-len(images) // columns), images.shape[1:3]
    scale = max(1, int(min((widest / columns - 4) / width, (TALLEST / rows - 4) / height, tile / max(height, width))))
    return pictures.grid(images, columns, padding=4 if scale > 1 else 1, scale=scale)


def single(image, side=420):
    """One image (H, W, C), its longer side about `side` pixels."""
    image = pictures.panels(np.asarray(image, np.float32))
    return pictures.grid(image[None], 1, padding=0, scale=enlargement(image.shape, side))


def enlargement(shape, side):
    """By how much `single` enlarges images of a shape (H, W, ...)."""
    return max(1, side // max(shape[:2]))


def thumbnail(image):
    """One image (H, W, C) for a strip."""
    return single(image, THUMBNAIL)


def codes(codes, side=420):
    """Codes (h, w) as colours; neighbouring numbers have colours far apart."""
    return single(matplotlib.colormaps["turbo"](codes * GOLDEN % 1.0)[..., :3], side)


def numbers(values, side=420):
    """Numbers (h, w, c) in grey, from the smallest to the largest, each channel a panel."""
    low, high = values.min(), values.max()
    return single((values - low) / max(float(high - low), 1e-12), side)


def bars(values, label, size=(8.8, 3.2)):
    """A bar per value of (d,)."""
    figure = pictures.plots.new_figure(*size)
    axes = figure.add_subplot()
    axes.bar(np.arange(len(values)), values, color="#4f6bd0")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn(figure)


def drawn(figure):
    """A matplotlib figure as uint8 (H, W, 3)."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def on_grid(codes):
    """Codes of an image as a grid, (h, w); those that lie on several grids, (T,), row by row of about a square."""
    if codes.ndim > 1:
        return codes
    width = math.ceil(math.sqrt(len(codes)))
    return np.pad(codes, (0, -len(codes) % width)).reshape(-1, width)

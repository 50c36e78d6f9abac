"""Images to one size."""

import collections

import numpy as np
from PIL import Image

from tfgen.errors import UserError


def resize(image, size):
    """uint8 (H, W, C) -> uint8 (size, size, C), bilinear with antialiasing; sides are stretched alike to `size`."""
    if image.shape[:2] == (size, size):
        return image
    channels = [np.asarray(Image.fromarray(image[:, :, c]).resize((size, size), Image.Resampling.BILINEAR))
                for c in range(image.shape[2])]
    return np.stack(channels, axis=2)


def check_one_size(where, sizes):
    """Raises UserError if the (H, W) pairs in `sizes` are not all the same."""
    counts = collections.Counter(sizes)
    if len(counts) > 1:
        found = ", ".join(f"{h}x{w} ({n})" for (h, w), n in counts.most_common(3))
        more = f" and {len(counts) - 3} more sizes" if len(counts) > 3 else ""
        raise UserError(f"{where} expects images of one size, found height x width {found}{more}: "
                        "pass --image-size N (image_size=N) to resize all to N x N")


def stack(where, images, size=None):
    """Stacks an iterable of uint8 (H, W, C) images to (N, H, W, C), resized if `size` is given.

    Raises:
        UserError: images of several sizes and no `size`.
    """
    images = [image if size is None else resize(image, size) for image in images]
    check_one_size(where, (image.shape[:2] for image in images))
    return np.stack(images)

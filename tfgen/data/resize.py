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


def resize_mask(mask, size):
    """bool (H, W) -> bool (size, size): True where any pixel of the area is, so that thin defects survive."""
    if mask.shape == (size, size):
        return mask
    return np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BOX)) > 0


def check_one_size(where, sizes):
    """Raises UserError if the (H, W) pairs in `sizes` are not all the same."""
    counts = collections.Counter(sizes)
    if len(counts) > 1:
        found = ", ".join(f"{h}x{w} ({n})" for (h, w), n in counts.most_common(3))
        more = f" and {len(counts) - 3} more sizes" if len(counts) > 3 else ""
        raise UserError(f"{where} expects images of one size, found height x width {found}{more}: "
                        "pass --image-size N (image_size=N) to resize all to N x N")


def _halves(where, image):
    if image.shape[1] % 2:
        raise UserError(f"{where} expects two images side by side, of equal width, in each, received a width of "
                        f"{image.shape[1]}: leave out pairs= (--pairs), or mend the images")
    return np.split(image, 2, axis=1)


def stack(where, images, size=None, side_by_side=False):
    """Stacks an iterable of uint8 (H, W, C) images, resized if `size` is given.

    Args:
        where: what to call the images in an error.
        images: uint8 (H, W, C) each.
        size: side that each image is resized to, or None.
        side_by_side: each is two images beside each other, which are resized one by one.

    Returns:
        uint8 (N, H, W, C); side by side (N, H, 2 W, C).

    Raises:
        UserError: images of several sizes and no `size`, or side by side an odd width.
    """
    if side_by_side:
        pairs = (_halves(where, image) for image in images)
        images = (image if size is None else resize(image, size) for pair in pairs for image in pair)
        images = [np.concatenate(pair, axis=1) for pair in zip(*[images] * 2, strict=True)]
    else:
        images = [image if size is None else resize(image, size) for image in images]
    check_one_size(where, (image.shape[:2] for image in images))
    return np.stack(images)

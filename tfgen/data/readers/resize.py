"""Resizes images to one size; shared by training data and inputs of trained models."""

import collections
import dataclasses
import math
import re

import numpy as np
from PIL import Image

from tfgen.data.stores import available_memory, gigabytes
from tfgen.errors import UserError

METHOD = "bilinear, antialiased"
MODES = ("stretch", "crop", "pad")


def _centred(whole, part):
    """(first, count) of the central `part` of `whole` pixels."""
    return (whole - part) // 2, part


def windows(shape, size, mode):
    """The window of an image that `resize` keeps, and its place in the result.

    Args:
        shape, size: (height, width) of the image and of the result.
        mode: "stretch", "crop" or "pad", as for `resize`.

    Returns:
        Two windows ((top, height), (left, width)): in the image and in the result.
    """
    image, result = [(0, side) for side in shape], [(0, side) for side in size]
    if mode == "stretch":
        return image, result
    # The axis along which the image is longer relative to the result.
    long = int(shape[1] * size[0] > shape[0] * size[1])
    if mode == "crop":
        image[long] = _centred(shape[long], max(1, round(size[long] * shape[1 - long] / size[1 - long])))
    else:
        short = 1 - long
        result[short] = _centred(size[short], max(1, round(shape[short] * size[long] / shape[long])))
    return image, result


def _scaled(planes, size, box, method):
    """Resizes the window `box` = ((top, height), (left, width)) of (H, W, C), channel by channel."""
    (top, height), (left, width) = box
    if planes.shape[:2] == (height, width) == tuple(size):
        return planes
    planes = np.moveaxis(planes[top:top + height, left:left + width], 2, 0)
    return np.stack([np.asarray(Image.fromarray(plane).resize(size[::-1], method)) for plane in planes], axis=2)


def resize(image, size, mode="stretch", enlarge="bilinear"):
    """Resizes an image, bilinear with antialiasing.

    Args:
        image: uint8 or float32 (H, W, C).
        size: (height, width).
        mode: "stretch": scale each axis independently; "crop": scale the largest central window with the aspect ratio of
            `size`; "pad": scale to fit, centre and replicate the border pixels.
        enlarge: interpolation for enlarging: "bilinear" or "bicubic" (Keys, 1981, a = -1/2, as `pairings.upscale`).

    Returns:
        (height, width, C) of the same type.
    """
    shown, ((top, height), (left, width)) = windows(image.shape[:2], size, mode)
    smaller = shown[0][1] <= height and shown[1][1] <= width
    method = Image.Resampling.BICUBIC if smaller and enlarge == "bicubic" else Image.Resampling.BILINEAR
    image = _scaled(image, (height, width), shown, method)
    around = (top, size[0] - top - height), (left, size[1] - left - width), (0, 0)
    return np.pad(image, around, "edge") if np.any(around) else image


def restore(values, shape, mode="stretch"):
    """Resizes a model's output back to the size of the original image: the inverse of `resize`.

    Args:
        values: uint8 or float32 (H, W, C).
        shape: (height, width) of the image before `resize`.
        mode: the mode of that `resize`.

    Returns:
        (height, width, C) of the same type, without padding; for "crop" only the window that was kept.
    """
    ((_, height), (_, width)), held = windows(shape, values.shape[:2], mode)
    return _scaled(values, (height, width), held, Image.Resampling.BILINEAR)


def resize_mask(mask, size, mode="stretch"):
    """bool (H, W) -> (height, width): True if any covered pixel is, so that thin defects survive. Padding is False."""
    shown, ((top, height), (left, width)) = windows(mask.shape, size, mode)
    mask = _scaled(mask[..., None].astype(np.float32), (height, width), shown, Image.Resampling.BOX)[..., 0] > 0
    return np.pad(mask, ((top, size[0] - top - height), (left, size[1] - left - width)))


def _is_side(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1


def sides(image_size):
    """(height, width) of 32, "32", "24x32" or (24, 32). Raises UserError for anything else."""
    parts = image_size
    if isinstance(image_size, str):
        parts = [int(part) if re.fullmatch("[0-9]+", part) else None for part in image_size.strip().lower().split("x")]
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    if len(parts) not in (1, 2) or not all(map(_is_side, parts)):
        raise UserError(f"image_size expects whole numbers >= 1, received {image_size!r}: pass --image-size N or "
                        "HEIGHTxWIDTH, such as 32 or 24x32 (in Python 32 or (24, 32))")
    return int(parts[0]), int(parts[-1])


def check_room(where, count, shape):
    """Raises UserError for uint8 images of a shape that was asked for, if memory cannot hold them twice, as it does then."""
    size, free = count * math.prod(shape), available_memory()
    if 2 * size > free:
        raise UserError(f"{where} expects twice the memory of its images, received {'x'.join(map(str, shape))}, "
                        f"{gigabytes(size)} for {count}, and {gigabytes(free)} of memory: give a smaller image_size")


@dataclasses.dataclass(frozen=True)
class Fit:
    """Resizing of a data set's images to one size.

    Args:
        size: (height, width), or None to keep the original size, which must be the same for all.
        mode: as for `resize`.
    """

    size: tuple[int, int] | None = None
    mode: str = "stretch"

    @classmethod
    def asked(cls, image_size, mode):
        """A `Fit` from user input. Raises UserError for an invalid size or mode, a mode without a size, and a size of which
        memory cannot hold one image in colour."""
        if mode not in MODES:
            raise UserError(f"resize expects one of {', '.join(MODES)}, received {mode!r}: pass --resize crop, say")
        if image_size is None and mode != "stretch":
            raise UserError(f"resize={mode!r} expects a target size, received none: pass --image-size N or HEIGHTxWIDTH")
        if image_size is None:
            return cls(None, mode)
        height, width = sides(image_size)
        check_room("image_size", 1, (height, width, 3))
        return cls((height, width), mode)

    def __call__(self, image):
        return image if self.size is None else resize(image, self.size, self.mode)

    def mask(self, mask):
        return mask if self.size is None else resize_mask(mask, self.size, self.mode)


def check_one_size(where, sizes):
    """Raises UserError if the (H, W) pairs in `sizes` differ."""
    counts = collections.Counter(sizes)
    if len(counts) > 1:
        found = ", ".join(f"{h}x{w} ({n})" for (h, w), n in counts.most_common(3))
        more = f" and {len(counts) - 3} more sizes" if len(counts) > 3 else ""
        raise UserError(f"{where} expects images of one size, found height x width {found}{more}: pass --image-size N "
                        "or HxW (image_size=N or (H, W)) to resize all, with --resize crop or pad to keep their proportions")


def check_halves(where, width):
    """Raises UserError for a width that is no sum of two equal ones."""
    if width % 2:
        raise UserError(f"{where} expects two images side by side, of equal width, in each, received a width of "
                        f"{width}: leave out pairs= (--pairs), or mend the images")


def _halves(where, image):
    check_halves(where, image.shape[1])
    return np.split(image, 2, axis=1)


def fitted(where, image, fit=Fit(), side_by_side=False):
    """An image resized by `fit`; with `side_by_side` each half by itself, a UserError for those of an odd width."""
    return np.concatenate([fit(half) for half in _halves(where, image)], axis=1) if side_by_side else fit(image)


def none_readable(where):
    """The `UserError` for a data set of which no image can be read."""
    return UserError(f"expected images of {where} that can be read, received none: mend the files")


def stack(where, images, fit=Fit(), side_by_side=False):
    """Stacks an iterable of uint8 (H, W, C) images.

    Args:
        where: name of the images in error messages.
        images: iterable of uint8 (H, W, C).
        fit: `Fit` applied to each image.
        side_by_side: each array holds two images side by side, which are resized separately.

    Returns:
        uint8 (N, H, W, C); (N, H, 2 W, C) with `side_by_side`.

    Raises:
        UserError: no images, several sizes without a `fit` size, more of one than memory holds, or an odd width with
            `side_by_side`.
    """
    if fit.size:
        images = list(images)
        height, width = fit.size
        check_room(where, len(images), (height, width * (1 + side_by_side), *images[0].shape[2:]) if images else ())
    images = [fitted(where, image, fit, side_by_side) for image in images]
    if not images:
        raise none_readable(where)
    check_one_size(where, (image.shape[:2] for image in images))
    return np.stack(images)

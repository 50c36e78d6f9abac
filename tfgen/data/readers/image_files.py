"""The one decoder of image files, of training data and of the images that a trained model is asked about."""

import contextlib

import numpy as np
from PIL import Image, ImageOps

from tfgen.data.readers.resize import METHOD
from tfgen.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_CHANNELS = {"1": 1, "L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "P": 3, "PA": 3, "CMYK": 3, "YCbCr": 3, "RGBX": 3}
_ORIENTATION = 0x0112  # EXIF


def small_sources(source):
    """How an image that is smaller than a model's sources is enlarged: as the sources of its training were."""
    return "bicubic" if str(source.get("pairs")).startswith("low_resolution") else "bilinear"


class Unreadable(UserError):
    """A file that cannot be read as an image."""


def reading(source):
    """How image files become pixels, for a record of them: a dict of JSON types.

    Args:
        source: what `load` was given, as a run records it.
    """
    small = {"small sources": "bicubic"} if small_sources(source) == "bicubic" else {}
    return {"resize": {"method": METHOD, "mode": source.get("resize", "stretch")} | small, "orientation": "EXIF applied",
            "transparency": "over white", "16-bit": "high byte: 0 to 65535 become 0 to 255", "frames": "first"}


def _deep(image):
    """Whether an image has 16 bits of grey."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


@contextlib.contextmanager
def _opened(path, expected, received):
    """The image of a file. Raises Unreadable for whatever goes wrong with it."""
    try:
        with Image.open(path) as image:
            if image.mode not in _CHANNELS and not _deep(image):
                raise Unreadable(f"expected an image of 1, 8 or 16 bits in {str(path)!r}, received Pillow's mode "
                                 f"{image.mode}: convert it to 8 or 16 bits, grey or RGB")
            yield image
    except (UserError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise Unreadable(f"expected an image of at most {2 * Image.MAX_IMAGE_PIXELS} pixels in {str(path)!r}, received "
                         "more: reduce it") from None
    except Exception as error:  # Pillow's readers of broken files raise errors of many kinds
        # An error of the system, such as a missing permission, has words of its own.
        received = getattr(error, "strerror", None) or received
        raise Unreadable(f"expected {expected} in {str(path)!r}, received {received}: remove or replace it") from None


def header(path):
    """(channels, (H, W)) as `decode` gives them, without decoding the pixels."""
    with _opened(path, "an image", "a file that cannot be read as one") as image:
        width, height = image.size
        # Pillow turns the size of a TIFF file itself; to look for the tag behind a PNG file's pixels would decode them.
        tagged = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        if tagged and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        return _CHANNELS.get(image.mode, 1), (height, width)


def _over_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _grey_of_16_bits(image):
    """uint16 (H, W), what is marked as transparent being white."""
    values = np.asarray(image).astype(np.uint16)
    return np.where(values == image.info["transparency"], 0xFFFF, values) if "transparency" in image.info else values


def decode(path, channels, peaks=None):
    """An image file as uint8 (H, W, channels); docs/data.md says how each kind of file is read.

    Args:
        path: of the file.
        channels: 1 (grey) or 3 (RGB).
        peaks: a list; the largest value of an image of 16-bit greys is appended.

    Raises:
        Unreadable: a UserError, for a file that is no whole image, or has a mode that is not read.
    """
    with _opened(path, "a whole image", "a truncated or corrupt file") as image:
        deep, image = _deep(image), ImageOps.exif_transpose(image)
        if deep:
            values = _grey_of_16_bits(image)
            if peaks is not None:
                peaks.append(int(values.max()))
            image = Image.fromarray((values >> 8).astype(np.uint8))
        elif image.has_transparency_data:
            image = _over_white(image)
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def decode_mask(path):
    """bool (H, W): where an image has any value above 0 and is not transparent. Raises Unreadable as `decode`."""
    with _opened(path, "a whole image", "a truncated or corrupt file") as image:
        deep, image = _deep(image), ImageOps.exif_transpose(image)
        if deep:
            return np.asarray(image) > 0
        pixels = np.asarray(image.convert("RGBA"))
    return (pixels[..., :3] > 0).any(-1) & (pixels[..., 3] > 0)

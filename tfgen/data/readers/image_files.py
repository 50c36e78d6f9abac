"""Decoder of image files, shared by training data and inputs of trained models."""

import contextlib
import warnings

import numpy as np
from PIL import Image, ImageOps

from tfgen.data.readers.resize import METHOD
from tfgen.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_CHANNELS = {"1": 1, "L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "P": 3, "PA": 3, "CMYK": 3, "YCbCr": 3, "RGBX": 3}
_ORIENTATION = 0x0112  # EXIF


def small_sources(source):
    """Interpolation that enlarges images smaller than the model's input, as for its training sources."""
    return "bicubic" if str(source.get("pairs")).startswith("low_resolution") else "bilinear"


class Unreadable(UserError):
    """A file that cannot be read as an image."""


def reading(source):
    """Description of decoding and resizing for records: a dict of JSON types.

    Args:
        source: the recorded arguments of `load`.
    """
    small = {"small sources": "bicubic"} if small_sources(source) == "bicubic" else {}
    return {"resize": {"method": METHOD, "mode": source.get("resize", "stretch")} | small, "orientation": "EXIF applied",
            "transparency": "over white", "16-bit": "high byte: 0 to 65535 become 0 to 255", "frames": "first"}


def _deep(image):
    """Whether an image has 16-bit grey levels."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


@contextlib.contextmanager
def _opened(path, expected, received):
    """Context manager that opens an image; raises Unreadable for any error."""
    try:
        with warnings.catch_warnings():
            # Of images of up to this number of pixels, half of what is refused; they fit in memory or are refused, too.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
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
        # Errors of the operating system, such as a missing permission, have their own message.
        received = getattr(error, "strerror", None) or received
        raise Unreadable(f"expected {expected} in {str(path)!r}, received {received}: remove or replace it") from None


def header(path):
    """(channels, (H, W)) as `decode` gives them, without decoding the pixels."""
    with _opened(path, "an image", "a file that cannot be read as one") as image:
        width, height = image.size
        # Pillow applies the orientation to the size of TIFF files itself. EXIF data after the pixels of a PNG file are
        # not read, as that would decode the pixels.
        tagged = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        if tagged and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        return _CHANNELS.get(image.mode, 1), (height, width)


def _over_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _grey_of_16_bits(image):
    """uint16 (H, W), transparent pixels set to white."""
    values = np.asarray(image).astype(np.uint16)
    return np.where(values == image.info["transparency"], 0xFFFF, values) if "transparency" in image.info else values


def decode(path, channels, peaks=None):
    """An image file as uint8 (H, W, channels); docs/data.md says how each kind of file is read.

    Args:
        path: file path.
        channels: 1 (grey) or 3 (RGB).
        peaks: a list to which the largest value of a 16-bit image is appended, or None.

    Raises:
        Unreadable: (a UserError) for a truncated, corrupt or unsupported image.
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
    """bool (H, W), True at non-transparent pixels with any value above 0. Raises Unreadable as `decode`."""
    with _opened(path, "a whole image", "a truncated or corrupt file") as image:
        deep, image = _deep(image), ImageOps.exif_transpose(image)
        if deep:
            return np.asarray(image) > 0
        pixels = np.asarray(image.convert("RGBA"))
    return (pixels[..., :3] > 0).any(-1) & (pixels[..., 3] > 0)

"""Writes grids and rows of images to files; plots with axes are in `plots`."""

import pathlib

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont

from tfgen.errors import UserError
from tfgen.files import written_aside

TILE_PIXELS = 48  # approximate size in pixels to which small images are enlarged
BACKGROUND = 224  # grey level between tiles
NOT_A_NUMBER = (255, 0, 255)  # colour of NaN pixels
INK = "#222222"


def grid(images, columns=None, padding=1, scale=None):
    """Arranges images in a grid, row by row, on a light background.

    Args:
        images: float (N, H, W, C) in [0, 1], C = 1 or 3; for another C, channels are shown side by side in grey. Values
            outside are clipped, NaNs become magenta.
        columns: number of columns; None chooses about as many as rows.
        padding: pixels of background around each tile.
        scale: integer enlargement by nearest neighbour; None enlarges small images to tiles of about 48 pixels.

    Returns:
        uint8 (rows * (scale * H + padding) + padding, columns * (scale * W + padding) + padding, 3).

    Raises:
        UserError: for another shape or dtype, no images, or columns, padding or scale out of range.
    """
    tiles = _pixels(images)
    columns = _at_least("columns", int(np.ceil(np.sqrt(len(tiles)))) if columns is None else columns, 1)
    padding = _at_least("padding", padding, 0)
    tiles = _enlarge(tiles, _at_least("scale", _scale_of(tiles) if scale is None else scale, 1))
    count, height, width, _ = tiles.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + padding) + padding, columns * (width + padding) + padding, 3),
                      BACKGROUND, np.uint8)
    for index, tile in enumerate(tiles):
        top = padding + index // columns * (height + padding)
        left = padding + index % columns * (width + padding)
        picture[top:top + height, left:left + width] = tile
    return picture


def save_image(path, array):
    """Writes one picture.

    Args:
        path: file name; its suffix (.png, .jpg, .webp …) chooses the format.
        array: (H, W) or (H, W, C): uint8, or float in [0, 1]. One channel without NaN gives a grey image; channels other
            than 1 or 3 in number are shown side by side.

    Raises:
        UserError: for another shape or dtype, or an unknown suffix.
    """
    array = np.asarray(array)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise UserError(f"save_image expects an array (H, W) or (H, W, C), received shape {array.shape}")
    array = panels(array)
    pixels = array if array.dtype == np.uint8 else _pixels(array[None])[0]
    # NaN pixels have a colour, which needs three channels.
    pixels = pixels[..., 0] if array.shape[-1] == 1 and np.isfinite(array).all() else pixels
    _write_pixels(path, Image.fromarray(np.ascontiguousarray(pixels)))


def save_grid(path, images, columns=None):
    """Writes `grid(images, columns)`. Arguments and errors as there."""
    save_image(path, grid(images, columns))


def save_rows(path, rows):
    """Writes one row of images per entry, with labels at the left.

    Rows may differ in length, image size and channels; smaller images are enlarged towards the largest.

    Args:
        path: file name; its suffix chooses the format.
        rows: {label: float images (N, H, W, C) in [0, 1]}, e.g. "original", "corrupted", "reconstruction".

    Raises:
        UserError: without rows, or for images that `grid` rejects.
    """
    if not rows:
        raise UserError("save_rows expects at least one row {label: images}, received none")
    rows = {printable(label): _pixels(images) for label, images in rows.items()}
    target = max(max(tiles.shape[1:3]) * _scale_of(tiles) for tiles in rows.values())
    rows = {label: _enlarge(tiles, max(1, target // max(tiles.shape[1:3]))) for label, tiles in rows.items()}
    width = max(tiles.shape[2] for tiles in rows.values())
    gap, margin = 2, 8
    font = ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans")), int(np.clip(target // 6, 13, 20)))
    boxes = {label: font.getbbox(label) for label in rows}
    left = 2 * margin + max(int(np.ceil(box[2])) for box in boxes.values())
    heights = [max(rows[label].shape[1], int(np.ceil(boxes[label][3])) + gap) for label in rows]
    longest = max(len(tiles) for tiles in rows.values())
    picture = Image.new("RGB", (left + longest * (width + gap), sum(heights) + gap * (len(rows) + 1)), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(picture)
    top = gap
    for (label, tiles), height in zip(rows.items(), heights):
        draw.text((left - margin, top + height // 2), label, fill=INK, font=font, anchor="rm")
        for index, tile in enumerate(tiles):
            picture.paste(Image.fromarray(tile), (left + index * (width + gap) + (width - tile.shape[1]) // 2,
                                                  top + (height - tile.shape[0]) // 2))
        top += height + gap
    _write_pixels(path, picture)


def printable(text):
    """Text for drawing: invalid characters, such as bytes of a file name that is not UTF-8, become "?"."""
    return str(text).encode("utf-8", "replace").decode()


def _pixels(images):
    """Float images (N, H, W, C) in [0, 1] -> uint8 (N, H, W, 3), or (N, H, C W, 3) unless C is 1 or 3."""
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise UserError(f"expected images (N, H, W, C) with N > 0, received shape {images.shape}")
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"expected float images in [0, 1], received {images.dtype}; divide 8-bit images by 255")
    images = panels(images.astype(np.float32))
    pixels = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)
    pixels = np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels
    pixels[np.isnan(images).any(-1)] = NOT_A_NUMBER
    return pixels


def panels(images):
    """(…, H, W, C) -> the same for 1 or 3 channels, else (…, H, C W, 1): channels side by side."""
    *first, height, width, channels = images.shape
    if channels in (1, 3):
        return images
    return np.moveaxis(images, -1, -2).reshape(*first, height, channels * width, 1)


def _scale_of(tiles):
    return max(1, round(TILE_PIXELS / max(tiles.shape[1:3])))


def _enlarge(tiles, scale):
    return tiles.repeat(scale, 1).repeat(scale, 2)


def _at_least(name, value, least):
    if int(value) != value or value < least:
        raise UserError(f"{name} expects a whole number of at least {least}, received {value}")
    return int(value)


def _write_pixels(path, picture):
    known_ending(path, {ending for ending, name in Image.registered_extensions().items() if name in Image.SAVE})
    with written_aside(path) as aside:
        picture.save(aside)


def known_ending(path, endings):
    if pathlib.Path(path).suffix.lower() not in endings:
        raise UserError(f"a picture's name ends in .png or another image format's ending, received '{path}'")

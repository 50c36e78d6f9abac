"""Folders of image files through a verb: names kept, any size, and a broken file stops nothing."""

import pathlib

import numpy as np
from PIL import Image

from tfgen import pictures
from tfgen.data.folders import SUFFIXES, decode
from tfgen.errors import UserError

AT_ONCE = 32  # images in memory


def found(folder, without=None):
    """The image files of a folder and its subfolders, sorted; hidden ones and those under `without` are left out.

    Raises:
        UserError: no folder, or no images in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"expected a folder of images, received {str(folder)!r}: "
                        + ("give the folder that the file is in" if folder.exists() else "check the path"))
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
                   and not any(part.startswith(".") for part in path.relative_to(folder).parts)
                   and not (without and path.resolve().is_relative_to(pathlib.Path(without).resolve())))
    if not paths:
        raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) in {str(folder)!r}, received none: check the path")
    return paths


def resized(pixels, size):
    """uint8 (H, W, C) -> uint8 (height, width, C), bicubic, stretched where the sides' ratio differs."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    planes = [np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC))
              for plane in np.moveaxis(pixels, 2, 0)]
    return np.stack(planes, axis=2)


def batches(paths, image_shape, unreadable):
    """Yields (paths, float32 images (B, *image_shape) in [0, 1], their own (H, W)), in order.

    Args:
        paths: of image files.
        image_shape: (H, W, C) that every image is converted and resized to, C = 1 or 3.
        unreadable: a list; a line is appended for each file that cannot be read.
    """
    for start in range(0, len(paths), AT_ONCE):
        kept, images, sizes = [], [], []
        for path in paths[start:start + AT_ONCE]:
            try:
                pixels = decode(path, image_shape[2])
            except UserError as error:
                unreadable.append(str(error))
                continue
            kept.append(path)
            sizes.append(pixels.shape[:2])
            images.append(resized(pixels, image_shape[:2]))
        if kept:
            yield kept, np.stack(images).astype(np.float32) / 255.0, sizes


def translate(live, folder, out, verb="translate", resize_back=False, **options):
    """Writes the translation of every image of a folder under the same name.

    Args:
        live: `verbs.Live` or `export.Served`.
        folder: of images, with subfolders.
        out: another folder; made if need be.
        verb: `"translate"` or `"translate_back"`.
        resize_back: whether a translation gets its image's own size; else it has the model's.
        **options: of the verb.

    Returns:
        (number of files written, a line for each file that could not be read).

    Raises:
        UserError: a model without the verb, no images, or `out` being `folder`.
    """
    folder, out = pathlib.Path(folder), pathlib.Path(out)
    if verb not in live.names:
        raise UserError(f"this model cannot {verb}; it has {', '.join(live.names)}")
    if out.resolve() == folder.resolve():
        raise UserError(f"expected another folder than the images' for --out, received {str(out)!r}: it would replace them")
    paths = found(folder, without=out)
    shape = live.source_shape if verb == "translate" else live.image_shape
    written, unreadable = 0, []
    for kept, images, sizes in batches(paths, shape, unreadable):
        for path, image, size in zip(kept, live(verb, images, AT_ONCE, **options), sizes, strict=True):
            pixels = np.rint(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
            pictures.save_image(out / path.relative_to(folder), resized(pixels, size) if resize_back else pixels)
            written += 1
    return written, unreadable

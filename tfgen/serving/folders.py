"""Applies a verb to every image file in a folder; keeps file names, resizes, skips unreadable files."""

import os
import pathlib

import numpy as np

from tfgen import pictures
from tfgen.data.classes import numbered
from tfgen.data.readers import mvtec
from tfgen.data.readers.folders import images_in, once, walk
from tfgen.data.readers.image_files import SUFFIXES, decode
from tfgen.data.readers.resize import resize, restore
from tfgen.errors import UserError

BATCH_SIZE = 32  # images per batch


def is_file(path):
    """Whether a path is an existing file with the suffix of an image format."""
    path = pathlib.Path(path)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _folders(folder, without):
    """The folders in which `found` looks, without the folder `without` and the masks of a folder in MVTec AD's layout."""
    kept_out = {os.path.realpath(without)} if without else set()
    if mvtec.is_category(folder):
        kept_out.add(os.path.realpath(folder / "ground_truth"))
    return walk(folder, kept_out)


def found(folder, without=None):
    """Sorted image files of a folder and its subfolders, or [folder] if it is an image file.

    Excludes hidden files, files in `without`, duplicate links, and the masks of a folder in MVTec AD's layout.

    Raises:
        UserError: if `folder` is neither a folder with images nor an image file.
    """
    folder = pathlib.Path(folder)
    if is_file(folder):
        return [folder]
    if not folder.is_dir():
        raise UserError(f"expected a folder of images or an image file ({', '.join(SUFFIXES[:4])} ...), received "
                        f"{str(folder)!r}: check the path")
    paths = once(path for sub in _folders(folder, without) for path in images_in(sub)
                 if not (without and path.is_symlink() and path.resolve().is_relative_to(pathlib.Path(without).resolve())))
    if not paths:
        raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) in {str(folder)!r}, received none: check the path")
    return paths


def root(folder):
    """The folder to which image names are relative: `folder`, or the parent of an image file."""
    folder = pathlib.Path(folder)
    return folder if folder.is_dir() else folder.parent


def batches(paths, image_shape, unreadable, mode="stretch", enlarge="bilinear"):
    """Yields (paths, images float32 (B, *image_shape) in [0, 1], original sizes [(H, W)]), in order.

    Args:
        paths: paths of image files.
        image_shape: (H, W, C) to which every image is converted and resized, C = 1 or 3. With (None, None, C) each keeps
            its size and is a batch by itself.
        unreadable: a list to which one line per unreadable file is appended.
        mode, enlarge: arguments of `tfgen.data.readers.resize.resize` for images of another size.

    Raises:
        UserError: for another number of channels.
    """
    if image_shape[2] not in (1, 3):
        raise UserError(f"expected a model of images of 1 or 3 channels, received one of {image_shape[2]}, which image "
                        "files do not have: give a .npz file, or use the model in Python")
    own_size = image_shape[0] is None
    rows = 1 if own_size else BATCH_SIZE
    for start in range(0, len(paths), rows):
        kept, images, sizes = [], [], []
        for path in paths[start:start + rows]:
            try:
                pixels = decode(path, image_shape[2])
            except UserError as error:
                unreadable.append(str(error))
                continue
            kept.append(path)
            sizes.append(pixels.shape[:2])
            images.append(pixels if own_size else resize(pixels, image_shape[:2], mode, enlarge))
        if kept:
            yield kept, np.stack(images).astype(np.float32) / 255.0, sizes


def read(live, folder, limit=None):
    """Reads the images of a folder in a model's size and number of channels.

    Args:
        live: `verbs.live.Live` or `serving.saved_model.Served`.
        folder: a folder of images, searched with its subfolders, or an image file.
        limit: maximum number of images; None reads all.

    Returns:
        (images float32 (N, H, W, C) in [0, 1], [path], [one line per unreadable file]).

    Raises:
        UserError: no images, or no readable one.
    """
    unreadable, paths, images = [], [], []
    for kept, batch, _ in batches(found(folder)[:limit], live.image_shape, unreadable, live.resize):
        paths += kept
        images.append(batch)
    if not paths:
        raise UserError(f"expected images that can be read, all {len(unreadable)} cannot: {unreadable[0]}")
    return np.concatenate(images), paths, unreadable


def labels_of(paths, folder):
    """(labels int64 (N,) or None, class names or ()) of images from the sorted names of their subfolders.

    Args:
        paths: paths of image files found in `folder`; if one lies directly in it, none has a label.
        folder: the searched folder.
    """
    if any(path.parent == root(folder) for path in paths):
        return None, ()
    labels, class_names = numbered({"all": np.array([path.parent.name for path in paths])})
    return labels["all"], class_names


def translate(live, folder, out, verb="translate", resize_back=False, **options):
    """Translates every image of a folder and writes the results under the same names.

    Args:
        live: `verbs.live.Live` or `serving.saved_model.Served`.
        folder: a folder of images, searched with its subfolders, or an image file.
        out: output folder, different from `folder`; created if necessary.
        verb: `"translate"` or `"translate_back"`.
        resize_back: resize translations to the size of the original image (of its visible part if it was cropped);
            False keeps the model's size.
        **options: options of the verb.

    Returns:
        (number of written files, [one line per unreadable file]).

    Raises:
        UserError: a model without the verb, no images, or `out` being `folder`.
    """
    out = pathlib.Path(out)
    if verb not in live.names:
        raise UserError(f"this model cannot {verb}; it has {', '.join(live.names)}")
    if out.resolve() == root(folder).resolve():
        raise UserError(f"expected another folder than the images' for --out, received {str(out)!r}: it would replace them")
    paths = found(folder, without=out)
    shape, enlarge = (live.source_shape, live.small_sources) if verb == "translate" else (live.image_shape, "bilinear")
    written, unreadable = 0, []
    for kept, images, sizes in batches(paths, shape, unreadable, live.resize, enlarge):
        for path, image, size in zip(kept, live(verb, images, batch_size=BATCH_SIZE, **options), sizes, strict=True):
            pixels = np.rint(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
            pictures.save_image(out / path.relative_to(root(folder)),
                                restore(pixels, size, live.resize) if resize_back else pixels)
            written += 1
    return written, unreadable

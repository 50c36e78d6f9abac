"""Arrays from folders of images."""

import pathlib
import random
import re

import numpy as np
from PIL import Image

from tfgen.data import tfds_store
from tfgen.data.resize import check_one_size, stack
from tfgen.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "validation": "validation",
           "valid": "validation", "val": "validation"}
_CHANNELS = {"1": 1, "L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "P": 3, "PA": 3, "CMYK": 3, "YCbCr": 3, "RGBX": 3}


def subfolders(folder):
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _images(folder):
    return sorted(p for p in folder.iterdir()
                  if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def class_files(folder):
    """[(path, class name or None)] of the images directly in a folder or in its class subfolders."""
    flat = [(path, None) for path in _images(folder)]
    nested = [(path, sub.name) for sub in subfolders(folder) for path in _images(sub)]
    if flat and nested:
        raise UserError(f"expected images either directly in {str(folder)!r} or in one subfolder a class, received "
                        f"{len(flat)} directly and {len(nested)} in subfolders: move them to one or the other")
    # A fixed shuffle, so that the first images are of all classes.
    random.Random(folder.name if folder.name in _SPLITS else "images").shuffle(nested)
    return flat or nested


def _scan(folder):
    """({split: [(path, class name or None)]}, {split: folder})."""
    subs = subfolders(folder)
    if subs and not _images(folder) and all(sub.name.lower() in _SPLITS for sub in subs):
        roots = {_SPLITS[sub.name.lower()]: sub for sub in subs}
        if len(roots) != len(subs) or "train" not in roots:
            raise UserError(f"expected the subfolders train and (if any) validation and test in {str(folder)!r}, "
                            f"received {', '.join(sub.name for sub in subs)}: rename them")
    else:
        roots = {"train": folder}
    splits = {split: class_files(root) for split, root in roots.items()}
    for split, items in splits.items():
        if not items:
            raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) in {str(roots[split])!r} or in one "
                            "subfolder a class, received none: check the path")
    return splits, roots


def _channels_of(path, mode):
    if mode not in _CHANNELS:
        raise UserError(f"expected an 8-bit image in {str(path)!r}, received mode {mode}: convert it to 8 bits")
    return _CHANNELS[mode]


def header(path):
    """(channels, (H, W)) without decoding the pixels."""
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError(f"expected an image in {str(path)!r}, received a file that cannot be read as one: "
                        "remove or replace it") from None
    return _channels_of(path, mode), (height, width)


def decode(path, channels):
    """An image file as uint8 (H, W, channels), channels 1 or 3. Raises UserError for one that is not whole or not 8-bit."""
    try:
        with Image.open(path) as image:
            _channels_of(path, image.mode)
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise UserError(f"expected a whole image in {str(path)!r}, received a truncated or corrupt file: "
                        "remove or replace it") from None
    return pixels.reshape(*pixels.shape[:2], channels)


def _read_tfds(folder, splits, roots, names, shape, size):
    """{split: (images, labels)} by TFDS' ImageFolder, or None if it sees other images or cannot decode one."""
    import tensorflow as tf

    with tfds_store.quiet() as tfds:
        builder = tfds.folder_dataset.ImageFolder(str(folder), shape=shape)
        seen = {split: info.num_examples for split, info in builder.info.splits.items()}
        if seen != {root.name: len(splits[split]) for split, root in roots.items()} or (
                tuple(builder.info.features["label"].names) != names):
            return None
        try:
            arrays = {}
            for split, root in roots.items():
                data = builder.as_dataset(split=root.name, shuffle_files=False)
                records = [(record["image"], record["label"]) for record in data.as_numpy_iterator()]
                arrays[split] = (stack(repr(str(folder)), (image for image, _ in records), size),
                                 np.array([label for _, label in records], np.int64))
        except (tf.errors.OpError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            return None
        return arrays


def common_channels(where, paths, size):
    """(channels, (H, W)) of image files: one channel if all are grey; several sizes only where `size` is given."""
    headers = [header(path) for path in paths]
    if size is None:
        check_one_size(where, (sides for _, sides in headers))
    return max(channels for channels, _ in headers), headers[0][1]


def domain_roots(folder):
    """{'trainA': folder, 'trainB': folder …} of the subfolders that are named after a split and a domain, or {}."""
    roots = {}
    for sub in subfolders(pathlib.Path(folder)):
        found = re.fullmatch("([a-z]+?)[-_]?([ab])", sub.name.lower())
        if found and found[1] in _SPLITS:
            first = roots.setdefault(_SPLITS[found[1]] + found[2].upper(), sub)
            if first is not sub:
                raise UserError(f"expected one folder a split and domain in {str(folder)!r}, received {first.name} and "
                                f"{sub.name}: put their images into one")
    return roots


def read_domains(folder, size=None):
    """{'trainA': (images uint8 (N, H, W, C), None), 'trainB': …} of a folder with two domains of unpaired images.

    Layout: trainA/*.png and trainB/*.png, with testA, testB, valA and valB beside them or not. Other subfolders are
    passed over. Each domain is grey or coloured by itself.

    Args:
        folder: path.
        size: side to resize all images to, or None if they have one size.

    Raises:
        UserError: no trainA or no trainB, no images in one of the folders, several sizes, a broken image.
    """
    roots = domain_roots(folder)
    missing = [name for name in ("trainA", "trainB") if name not in roots]
    if missing:
        raise UserError(f"expected the subfolders trainA and trainB in {str(folder)!r}, missing {', '.join(missing)} "
                        f"beside {', '.join(sub.name for sub in roots.values())}: add it, or rename the others")
    paths = {name: _images(root) for name, root in roots.items()}
    for name, found in paths.items():
        if not found:
            raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) directly in {str(roots[name])!r}, received "
                            "none: put them there")
    where = repr(str(folder))
    channels = {domain: common_channels(where, (path for name, found in paths.items() if name[-1] == domain
                                                for path in found), size)[0] for domain in "AB"}
    return {name: (stack(where, (decode(path, channels[name[-1]]) for path in found), size), None)
            for name, found in paths.items()}


def read_folder(folder, size=None, side_by_side=False):
    """({split: (images uint8 (N, H, W, C), labels int64 (N,) or None)}, class names) of a folder of images.

    Layouts: class/*.png; train/class/*.png with test/ and validation/ beside it; *.png or train/*.png without
    labels. Grey images give one channel, any colour among them three (transparency is dropped). Hidden files
    and files that are no images are passed over. TFDS' ImageFolder reads the layouts that it knows.

    Args:
        folder: path.
        size: side to resize all images to, or None if they have one size.
        side_by_side: each file is two images beside each other, as for `stack`.

    Raises:
        UserError: no images, several sizes, a file that is no whole 8-bit image, an unclear layout.
    """
    folder = pathlib.Path(folder)
    splits, roots = _scan(folder)
    channels, sides = common_channels(repr(str(folder)), (path for items in splits.values() for path, _ in items), size)
    names = tuple(sorted({label for items in splits.values() for _, label in items if label is not None}))
    if names and folder not in roots.values() and not side_by_side:
        arrays = _read_tfds(folder, splits, roots, names, (*(sides if size is None else (None, None)), channels), size)
        if arrays:
            return arrays, names
    arrays = {}
    for split, items in splits.items():
        images = stack(repr(str(folder)), (decode(path, channels) for path, _ in items), size, side_by_side)
        labelled = items[0][1] is not None
        arrays[split] = images, np.array([names.index(c) for _, c in items], np.int64) if labelled else None
    return arrays, names

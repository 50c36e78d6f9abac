"""Images from files: IDX, .npz and folders of pictures."""

import gzip
import math
import pathlib
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tfgen.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IDX_NAMES = {"train": "train", "test": "t10k"}


def read_idx(path):
    """An IDX file of unsigned bytes (optionally gzipped) as a uint8 array.

    Raises:
        UserError: if it is missing, truncated, damaged or no such file.
    """
    path = pathlib.Path(path)
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError:
        raise UserError(f"expected the IDX file {path}, it does not exist") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"expected a whole gzip file, {path} is damaged or truncated ({error}); copy it again") from None
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or not raw[3]:
        raise UserError(f"expected an IDX file of unsigned bytes (magic 0 0 8 n), {path} starts with {raw[:4]!r}")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise UserError(f"{path} is truncated within its header: {len(raw)} of {header} bytes; copy it again")
    shape = struct.unpack(f">{raw[3]}I", raw[4:header])
    if len(raw) - header != math.prod(shape):
        raise UserError(f"{path} is truncated or damaged: its header tells {math.prod(shape)} values {shape}, "
                        f"it holds {len(raw) - header}; copy it again")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def idx_folder(folder):
    """{split: (images, labels)} of a folder with MNIST's four IDX files."""
    splits = {}
    for split, prefix in IDX_NAMES.items():
        images, labels = (read_idx(_idx_path(folder, f"{prefix}-{kind}-ubyte"))
                          for kind in ("images-idx3", "labels-idx1"))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise UserError(f"expected as many labels as images in {folder}, received images {images.shape} and "
                            f"labels {labels.shape} for {prefix}")
        splits[split] = as_images(images, folder), labels.astype(np.int64)
    return splits


def _idx_path(folder, stem):
    plain = pathlib.Path(folder) / stem
    return plain if plain.exists() else plain.with_name(stem + ".gz")


def is_idx_folder(folder):
    """Whether a folder looks like MNIST's."""
    return any(pathlib.Path(folder).glob("*-idx[13]-ubyte*"))


def as_images(values, where):
    """Any array of images as uint8 (N, H, W, C).

    Raises:
        UserError: for another rank, type or range.
    """
    values = np.asarray(values)
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or values.shape[-1] not in (1, 3) or 0 in values.shape:
        raise UserError(f"expected images (N, H, W) or (N, H, W, 1 or 3) in {where}, received {values.shape}")
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise UserError(f"expected images of uint8, or floats in [0, 1], in {where}, received {values.dtype}")
    if not np.all(np.isfinite(values)) or values.min() < 0 or values.max() > 1:
        raise UserError(f"expected floats in [0, 1] in {where}, received {np.nanmin(values):.4g} ... "
                        f"{np.nanmax(values):.4g}{'' if np.all(np.isfinite(values)) else ' and values that are no number'}")
    return np.round(values * 255.0).astype(np.uint8)


def as_labels(values, count, where):
    """Labels as int64 (count,), from whole numbers >= 0."""
    values = np.asarray(values).squeeze()
    if values.shape != (count,):
        raise UserError(f"expected {count} labels in {where}, received {values.shape}")
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise UserError(f"expected labels that are whole numbers from 0 in {where}, received {values.dtype}")
    return values.astype(np.int64)


def npz(path):
    """{split: (images, labels)} of an .npz file: x_train, y_train, x_test, y_test, or x, y, or images, labels.

    Raises:
        UserError: if it is damaged or has other keys or values.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"expected a whole .npz file of plain arrays, could not read {path}: {error}") from None
    for names in ({"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")},
                  {"train": ("x", "y")}, {"train": ("images", "labels")}):
        if names["train"][0] in arrays:
            splits = {}
            for split, (x, y) in names.items():
                if x in arrays:
                    images = as_images(arrays[x], f"{x} of {path}")
                    labels = as_labels(arrays[y], len(images), f"{y} of {path}") if y in arrays else None
                    splits[split] = images, labels
            return splits
    raise UserError(f"expected x_train (and y_train, x_test, y_test), x (and y) or images (and labels) in {path}, "
                    f"it has {', '.join(arrays) or 'nothing'}")


def read_image(path, image_size=None):
    """A picture file as uint8 (H, W, 1 or 3).

    Raises:
        UserError: if it cannot be read.
    """
    try:
        with Image.open(path) as image:
            image = image.convert("L" if image.mode in ("1", "L", "LA", "I", "I;16") else "RGB")
            if image_size:
                image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"expected a picture, could not read {path}: {' '.join(str(error).split())}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def pictures_under(folder):
    """The picture files directly in `folder`, sorted."""
    return sorted(p for p in pathlib.Path(folder).iterdir()
                  if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def image_folder(folder, image_size=None):
    """({split: (images, labels)}, class names) of a folder of pictures.

    Layouts: `train/CLASS/*`, `test/CLASS/*` (and `validation/` or `val/`); `CLASS/*`; or pictures directly in it,
    without labels. TFDS' ImageFolder reads the first layout only, as tensors on demand; one reader serves all.

    Raises:
        UserError: if it is empty, a picture is broken, or sizes are mixed and no `image_size` is given.
    """
    folder = pathlib.Path(folder)
    named = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
    folders = {named[p.name]: p for p in folder.iterdir() if p.is_dir() and p.name in named}
    roots = folders if "train" in folders else {"train": folder}
    classes = sorted({p.name for root in roots.values() for p in root.iterdir() if p.is_dir() and pictures_under(p)})
    splits, sizes = {}, {}
    for split, root in roots.items():
        files = [(path, None) for path in pictures_under(root)] if not classes else [
            (path, index) for index, name in enumerate(classes) if (root / name).is_dir()
            for path in pictures_under(root / name)]
        if not files:
            raise UserError(f"expected pictures ({', '.join(ENDINGS[:3])} …) in {root} or in one folder a class under "
                            "it, found none")
        images = [read_image(path, image_size) for path, _ in files]
        for image in images:
            sizes.setdefault(image.shape[:2], 0)
            sizes[image.shape[:2]] += 1
        splits[split] = images, np.array([label for _, label in files], np.int64) if classes else None
    if len(sizes) > 1:
        found = ", ".join(f"{h} x {w} ({n})" for (h, w), n in sorted(sizes.items(), key=lambda item: -item[1])[:3])
        raise UserError(f"expected images of one size in {folder}, received {len(sizes)} sizes: {found}; "
                        "pass --image-size N to resize them")
    colour = any(image.shape[-1] == 3 for images, _ in splits.values() for image in images)
    stacked = {split: (np.stack([np.repeat(image, 3, -1) if colour and image.shape[-1] == 1 else image
                                 for image in images]), labels) for split, (images, labels) in splits.items()}
    return stacked, classes

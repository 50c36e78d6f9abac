"""Reads folders in the layout of an MVTec AD category (Bergmann et al., 2019): normal training images, defects in test."""

import functools

import numpy as np

from tfgen.data.readers.folders import class_files, holds_images, subfolders
from tfgen.data.readers.image_files import decode_mask
from tfgen.data.readers.layout import Layout
from tfgen.errors import UserError, note

GOOD = "good"


def is_category(folder):
    """Whether `good` is the only subfolder of a folder's `train`, but for some without images."""
    train = folder / "train"
    subs = subfolders(train) if train.is_dir() else []
    return GOOD in [sub.name for sub in subs] and not any(sub.name != GOOD and holds_images(sub) for sub in subs)


def check_single(folder):
    """Raises UserError for a folder of several categories."""
    categories = [sub.name for sub in subfolders(folder) if is_category(sub)]
    if categories:
        more = f" and {len(categories) - 3} more" if len(categories) > 3 else ""
        raise UserError(f"expected the folder of one category, received {str(folder)!r} with {', '.join(categories[:3])}"
                        f"{more}: give one of them, such as {str(folder / categories[0])!r}")


def _files(folder):
    """{split: [(path, kind)]} of the existing splits; a note names other subfolders with images."""
    others = [sub.name for sub in subfolders(folder)
              if sub.name not in ("train", "validation", "test", "ground_truth") and holds_images(sub)]
    if others:
        note(f"passed over: images in {', '.join(others)} of {str(folder)!r}: splits of a category are train, validation "
             "and test")
    files = {split: class_files(folder / split) for split in ("train", "validation", "test") if (folder / split).is_dir()}
    for split, items in files.items():
        kinds = {kind for _, kind in items}
        if not kinds or None in kinds or (split != "test" and kinds != {GOOD}):
            wanted = "test/good and test/DEFECT" if split == "test" else f"{split}/good alone"
            found = "no images" if not kinds else "images directly in it" if None in kinds else ", ".join(sorted(kinds))
            raise UserError(f"expected the images of {str(folder / split)!r} in {wanted}, received {found}: move them")
    return files


def _mask(truth, path, kind, shape):
    """Mask bool (H, W) of a test image of size `shape`; all False for a normal image."""
    if kind == GOOD:
        return np.zeros(shape, bool)
    places = [truth / kind / f"{path.stem}{end}.png" for end in ("_mask", "")]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(f"expected the mask of {str(path)!r} in {str(places[0])!r}, received none: add it, or remove "
                        "ground_truth")
    mask = decode_mask(file)
    if mask.shape != shape:
        raise UserError(f"expected a mask of {shape[0]}x{shape[1]}, its image's size, in {str(file)!r}, received "
                        f"{mask.shape[0]}x{mask.shape[1]}: replace it")
    return mask


def category_of(folder, reader):
    """`Layout` of a category: labels and masks in the test split alone, classes "good" and the defects sorted by name.

    Layout: train/good/*.png; optionally test/good/*.png and test/DEFECT/*.png, ground_truth/DEFECT/*_mask.png (or the
    image's file name) and validation/good/*.png. One channel if all images are grey, else three.

    Args:
        folder: pathlib.Path.
        reader: a `tfgen.data.readers.folders.Reader`.

    Raises:
        UserError: no images or images in unexpected places, several sizes, or a broken image.
    """
    truth = folder / "ground_truth"
    channels, files = reader.common_channels(_files(folder))
    kinds = GOOD, *sorted({kind for _, kind in files.get("test", ())} - {GOOD})
    splits = {split: ([(path, kind if split == "test" else None) for path, kind in items], channels)
              for split, items in files.items()}
    return Layout(splits, kinds, functools.partial(_mask, truth) if truth.is_dir() else None, category=True)

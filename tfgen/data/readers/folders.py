"""Finds the image files of folders and decodes them."""

import math
import os
import pathlib
import random
import re

import numpy as np

from tfgen.data.readers.image_files import SUFFIXES, Unreadable, decode, header
from tfgen.data.readers.layout import Layout
from tfgen.data.readers.resize import Fit, check_one_size, fitted, none_readable
from tfgen.data.stores import available_memory, gigabytes
from tfgen.errors import UserError, note

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "validation": "validation",
           "valid": "validation", "val": "validation"}
# Names of subfolders that are no class beside train, whether they are a split that is read or not.
_NO_CLASS = re.compile("^(train|test|val|dev|eval|holdout)(ing|id|idation|uation|set)?([^a-z]|$)|"
                       "mask|label|annot|segment|truth|bbox|bounding")


def once(paths):
    """Sorted paths without duplicates: symbolic links to another listed path are removed."""
    paths = sorted(paths)
    if not any(path.is_symlink() for path in paths):
        return paths
    kept = {}
    for path in sorted(paths, key=lambda path: path.is_symlink()):
        kept.setdefault(os.path.realpath(path), path)
    return sorted(kept.values())


def subfolders(folder):
    """Sorted subfolders, without hidden ones and without links to the folder, its parents or another subfolder."""
    here = pathlib.Path(os.path.realpath(folder))
    subs = once(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    return [sub for sub in subs if not (sub.is_symlink() and here.is_relative_to(os.path.realpath(sub)))]


def images_in(folder):
    """Sorted image files directly in a folder, without hidden files and links to another listed file."""
    return once(path for path in folder.iterdir()
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file())


def walk(folder, kept_out=frozenset()):
    """Yields a folder and its subfolders at any depth, each once even if linked, without the real paths `kept_out`."""
    seen, own, linked = set(kept_out), [folder], []
    while own or linked:
        here = own.pop() if own else linked.pop(0)
        if (real := os.path.realpath(here)) not in seen:
            seen.add(real)
            yield here
            for sub in subfolders(here):
                (linked if sub.is_symlink() else own).append(sub)


def holds_images(folder):
    """Whether a folder has images, directly or at any depth."""
    return any(images_in(sub) for sub in walk(folder))


def check_depth(roots):
    """Says in one line which images lie deeper than directly in the folders that are read.

    Raises:
        UserError: for a folder that has no others, so that a class, a split or a domain would be missing.
    """
    left = []
    for root in roots:
        deeper = [path for sub in subfolders(root) for here in walk(sub) for path in images_in(here)]
        if deeper and not images_in(root):
            raise UserError(f"expected images directly in {str(root)!r}, received {len(deeper)} in its subfolders, such as "
                            f"{str(deeper[0])!r}: move them up")
        left += deeper
    if left:
        note(f"passed over: {len(left)} images in subfolders of folders with images, such as {str(left[0])!r}: move them up "
             "or out")


def class_files(folder):
    """[(path, class name or None)] of the images directly in a folder or in its class subfolders."""
    subs = subfolders(folder)
    flat = [(path, None) for path in images_in(folder)]
    nested = [(path, sub.name) for sub in subs for path in images_in(sub)]
    if flat and nested:
        raise UserError(f"expected images either directly in {str(folder)!r} or in one subfolder per class, received "
                        f"{len(flat)} directly and {len(nested)} in subfolders: move them to one or the other")
    check_depth([folder] if flat else subs)
    # A fixed shuffle, so that the first images contain all classes.
    random.Random(folder.name if folder.name in _SPLITS else "images").shuffle(nested)
    return flat or nested


def _all_are_classes(splits):
    """Whether the subfolder train is a class (a vehicle) as those beside it: there are two others or more, none is named
    like a split, masks, labels or annotations, and all hold their images directly."""
    names = [sub.name.lower() for sub in splits]
    return (len(names) > 2 and [name for name in names if _NO_CLASS.search(name)] == ["train"]
            and all(images_in(sub) and not any(map(holds_images, subfolders(sub))) for sub in splits))


def _roots(folder):
    """{split: its subfolder} of a folder with a subfolder for training, else {'train': folder}."""
    subs = {sub: _SPLITS.get(sub.name.lower()) for sub in subfolders(folder)}
    splits = {sub: split for sub, split in subs.items() if split or holds_images(sub)}
    if "train" not in splits.values() and (not splits or None in splits.values() or images_in(folder)):
        return {"train": folder}
    if _all_are_classes(splits):
        note(f"train is a class of {str(folder)!r}, as {', '.join(sub.name for sub in splits)} all hold images directly")
        return {"train": folder}
    roots = {split: sub for sub, split in splits.items() if split}
    if len(roots) != len(splits) or "train" not in roots:
        raise UserError(f"expected the subfolders train and (if any) validation and test in {str(folder)!r}, or classes, of "
                        "which one is train if two or more are beside it, all hold their images directly and no other is "
                        "named like a split, masks, labels or annotations, found images in "
                        f"{', '.join(sub.name for sub in splits)}: rename or move them")
    if found := images_in(folder):
        raise UserError(f"expected images either directly in {str(folder)!r} or in its subfolder train, received "
                        f"{len(found)} directly: move them to one or the other")
    if empty := [sub.name for sub in subs if sub not in splits]:
        note(f"passed over: {', '.join(empty)} of {str(folder)!r}, without images: beside train, the splits are validation "
             "and test")
    return roots


def _scan(folder):
    """{split: [(path, class name or None)]}."""
    roots = _roots(folder)
    splits = {split: class_files(root) for split, root in roots.items()}
    for split, items in splits.items():
        if not items:
            raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) in {str(roots[split])!r} or in one "
                            "subfolder per class, received none: check the path")
    return splits


class Reader:
    """Reads the image files of a data set, given as items (path, …).

    Args:
        where: name of the data set in error messages.
        fit: `tfgen.data.readers.resize.Fit` applied to all images.
        skip_unreadable: skip unreadable files with one printed line each; False raises for them.
        side_by_side: each file holds two images side by side, as for `stack`.
    """

    def __init__(self, where, fit=Fit(), skip_unreadable=False, side_by_side=False):
        self.where = where
        self.fit = fit
        self.skip_unreadable = skip_unreadable
        self.side_by_side = side_by_side
        self._peaks = []

    def _readable(self, items, read):
        """Yields (item, read(path)) for each readable item."""
        for item in items:
            try:
                yield item, read(item[0])
            except Unreadable as error:
                if not self.skip_unreadable:
                    raise Unreadable(f"{error}, or pass --skip-unreadable (skip_unreadable=True) to go on without such "
                                     "files") from None
                note(f"passed over: {error}")

    def common_channels(self, splits):
        """(number of channels, the splits without files that have no readable header).

        One channel if all images are grey, else three. Raises a `UserError` for several sizes unless `fit` has a size.
        """
        found = {split: list(self._readable(items, header)) for split, items in splits.items()}
        headers = [about for pairs in found.values() for _, about in pairs]
        if self.fit.size is None:
            check_one_size(self.where, (sides for _, sides in headers))
        return max((channels for channels, _ in headers), default=1), {
            split: [item for item, _ in pairs] for split, pairs in found.items()}

    def images(self, items, channels):
        """Yields (item, original size (H, W), image uint8 (H, W, channels)) of readable files, one at a time.

        Raises:
            UserError: if none is readable, or an image has another size than the first.
        """
        first = None
        for item, decoded in self._readable(items, lambda path: decode(path, channels, self._peaks)):
            image = fitted(self.where, decoded, self.fit, self.side_by_side)
            first = first or image.shape
            if image.shape != first:
                check_one_size(self.where, (first[:2], image.shape[:2]))
            yield item, decoded.shape[:2], image
        if first is None:
            raise none_readable(self.where)

    def stack(self, items, channels):
        """(images uint8 (N, H, W, channels), items, original sizes [(H, W)]) of readable files; UserError if none is."""
        kept, shapes, found = [], [], None
        if self.fit.size:  # before the first is resized
            self._check_room(len(items) * math.prod(self.fit.size) * channels * (1 + self.side_by_side), len(items))
        for item, shape, image in self.images(items, channels):
            if found is None:
                self._check_room(len(items) * image.nbytes, len(items))
                found = np.empty((len(items), *image.shape), np.uint8)
            found[len(kept)] = image
            kept.append(item)
            shapes.append(shape)
        return found[:len(kept)], kept, shapes

    def _check_room(self, size, count):
        """Raises UserError for images that memory cannot hold twice, as dividing them into splits does for a moment."""
        if 2 * size > (free := available_memory()):
            raise UserError(f"{self.where} expects twice the memory of its images, received {count} images of "
                            f"{gigabytes(size)} and {gigabytes(free)} of memory: type `tfgen data pack FOLDER --out DIR` "
                            "and give DIR as the data, which are then read as they are needed")

    def finish(self):
        """Prints a note if the 16-bit images use less than a quarter of their range."""
        peak = max(self._peaks, default=0)
        if self._peaks and peak < 1 << 14:
            note(f"few levels: the 16-bit images of {self.where} reach {peak} of 65535, so at most {1 + (peak >> 8)} of 256 "
                 "levels are left of them: rescale the files to 0 to 65535")


def domain_roots(folder):
    """{'trainA': folder, 'trainB': folder …} of subfolders named after a split and a domain, or {}."""
    roots = {}
    for sub in subfolders(pathlib.Path(folder)):
        found = re.fullmatch("([a-z]+?)[-_]?([ab])", sub.name.lower())
        if found and found[1] in _SPLITS:
            first = roots.setdefault(_SPLITS[found[1]] + found[2].upper(), sub)
            if first is not sub:
                raise UserError(f"expected one folder per split and domain in {str(folder)!r}, received {first.name} and "
                                f"{sub.name}: put their images into one")
    return roots


def domains_of(folder, reader):
    """`Layout` of the splits 'trainA', 'trainB' … of two domains of unpaired images, without classes.

    Layout: trainA/*.png and trainB/*.png, optionally testA, testB, valA and valB. Other subfolders are ignored; a note tells
    of images in subfolders of these. The number of channels (1 if all images are grey, else 3) is determined per domain.

    Args:
        folder: path.
        reader: a `Reader`.

    Raises:
        UserError: no trainA or no trainB, a folder without images directly in it, several sizes, or a broken image.
    """
    roots = domain_roots(folder)
    missing = [name for name in ("trainA", "trainB") if name not in roots]
    if missing:
        raise UserError(f"expected the subfolders trainA and trainB in {str(folder)!r}, missing {', '.join(missing)} "
                        f"beside {', '.join(sub.name for sub in roots.values())}: add it, or rename the others")
    check_depth(roots.values())
    items = {name: [(path, None) for path in images_in(root)] for name, root in roots.items()}
    for name, found in items.items():
        if not found:
            raise UserError(f"expected images ({', '.join(SUFFIXES[:4])} ...) directly in {str(roots[name])!r}, received "
                            "none: put them there")
    splits = {}
    for domain in "AB":
        channels, known = reader.common_channels({name: found for name, found in items.items() if name[-1] == domain})
        splits |= {name: (found, channels) for name, found in known.items()}
    return Layout(splits)


def classes_of(folder, reader):
    """`Layout` of a folder of images with or without classes.

    Layouts: class/*.png; train/class/*.png, optionally test/ and validation/; *.png or train/*.png without labels. Where
    there is a subfolder train, the others are splits, too, unless it is a class: it and the others hold their images
    directly, and no other is named like a split, masks, labels or annotations. One channel if all images are grey, else
    three. Hidden files, other files and duplicate links are ignored, subfolders without images with a note.

    Args:
        folder: path.
        reader: a `Reader`.

    Raises:
        UserError: no images, several sizes, a broken image, an ambiguous layout, or a class whose images lie too deep.
    """
    channels, splits = reader.common_channels(_scan(pathlib.Path(folder)))
    names = sorted({label for items in splits.values() for _, label in items if label is not None})
    return Layout({split: (items, channels) for split, items in splits.items()}, tuple(names))

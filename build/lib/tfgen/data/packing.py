"""Packs a folder of image files into shards for training on more images than memory holds, and opens what was packed."""

import contextlib
import os
import pathlib

import numpy as np

from tfgen import files
from tfgen.data.readers import shards
from tfgen.data.readers.folders import Reader
from tfgen.data.readers.layout import Read
from tfgen.data.readers.paths import layout_of
from tfgen.data.readers.resize import Fit
from tfgen.errors import UserError


def pack(folder, out, image_size=None, resize="stretch", skip_unreadable=False, side_by_side=False,
         shard_bytes=shards.SHARD_BYTES):
    """Writes the images of a folder, decoded and resized, as shards that `load` opens. One image is in memory at a time.

    The folder appears whole or not at all. What `load` does afterwards is left to it: missing splits, pairs, domains,
    normal classes, groups and grey levels, so that a packed folder serves for all of them.

    Args:
        folder: folder of image files, of any layout that `load` takes: classes, splits, two domains, MVTec AD.
        out: folder to write, which must not exist or be empty.
        image_size, resize, skip_unreadable: as for `load`.
        side_by_side: each file holds two images, which are resized separately; for pairs='side_by_side' of `load`.
        shard_bytes: size of a shard.

    Returns:
        {split: number of images}.

    Raises:
        UserError: a folder without images or with images that cannot be read, several sizes, an `out` that is not empty.
        DiskFull: without room; nothing is left of the folder.
    """
    fit, folder, out = Fit.asked(image_size, resize), pathlib.Path(os.path.expanduser(folder)), _free(out)
    reader = Reader(repr(str(folder)), fit, skip_unreadable, side_by_side)
    layout = layout_of(folder, reader)
    with files.folder_aside(out.parent) as aside:
        splits = {split: _write(aside, split, items, channels, layout, reader, shard_bytes)
                  for split, (items, channels) in layout.splits.items()}
        reading = {"image_size": list(fit.size) if fit.size else None, "resize": resize}
        shards.write_index(aside, class_names=list(layout.class_names), category=layout.category, reading=reading,
                           splits=splits)
        aside.chmod(0o755)
        files.replace_folder(aside, out)
    reader.finish()
    return {split: entry["rows"] for split, entry in splits.items()}


def _free(out):
    """The absolute path of a folder to be written. Raises UserError if something is there."""
    out = pathlib.Path(os.path.expanduser(out)).absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"expected a new or empty folder to pack into, received {str(out)!r}: choose another, or remove it")
    return out


def _write(folder, split, items, channels, layout, reader, shard_bytes):
    """Writes one split; returns its entry of the index."""
    kept, masks = [], []
    with contextlib.closing(shards.Writer(folder, split, shard_bytes)) as writer:
        for item, shape, image in reader.images(items, channels):
            writer.add(image)
            kept.append(item)
            masks.append(layout.mask_of(item, shape, reader.fit))
        return writer.finish(labels=layout.labels(kept), names=np.array([path.name for path, _ in kept]),
                             masks=None if masks[0] is None else np.stack(masks))


def read(folder, asked, groups=False):
    """What a packed folder holds, and the resizing that was asked for when it was packed.

    Args:
        folder: pathlib.Path.
        asked: `Fit` of the caller; of a size, it must be that of the packed images.
        groups: whether names of files are needed.

    Returns:
        (`Read`, {"image_size", "resize"} as in the arguments of `load`).

    Raises:
        UserError: for another size than the packed one, and missing, truncated or changed files.
    """
    index, found = shards.read_packed(folder)
    size, mode = index["reading"]["image_size"], index["reading"]["resize"]
    packed = Fit(tuple(size) if size else None, mode)
    if asked.size is not None and asked != packed:
        has = f"images of {size[0]}x{size[1]}, resized by {mode!r}" if size else "images of their own size"
        raise UserError(f"image_size expects the one that {str(folder)!r} was packed with, received {asked.size[0]}x"
                        f"{asked.size[1]} by {asked.mode!r} for {has}: leave out --image-size, or pack the folder again")
    splits = {split: (shards.images_of(files_), files_.array("labels")) for split, files_ in found.items()}
    masks = {split: files_.array("masks") for split, files_ in found.items()}
    names = {split: files_.array("names") for split, files_ in found.items()} if groups else {}
    return Read(splits, tuple(index["class_names"]), index["category"],
                {split: array for split, array in masks.items() if array is not None},
                {split: list(map(pathlib.PurePath, array)) for split, array in names.items()}), index["reading"]

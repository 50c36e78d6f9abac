"""Folders of image files, or one file, through a verb: names kept, any size, and a broken file stops nothing."""

import os
import pathlib

import numpy as np

from tfgen import pictures
from tfgen.data.readers import mvtec
from tfgen.data.readers.folders import images_in, once, subfolders
from tfgen.data.readers.image_files import SUFFIXES, decode
from tfgen.data.readers.resize import resize, restore
from tfgen.errors import UserError

AT_ONCE = 32  # images in memory


def is_file(path):
    """Whether a path is an image file, by its name."""
    path = pathlib.Path(path)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _folders(folder, without):
    """A folder and its subfolders: each once, though links lead to it, and without what is under `without`."""
    kept_out = {os.path.realpath(without)} if without else set()
    if mvtec.is_category(folder):
        kept_out.add(os.path.realpath(folder / "ground_truth"))
    seen, own, linked = set(), [folder], []
    while own or linked:
        here = own.pop() if own else linked.pop(0)
        real = os.path.realpath(here)
        if real not in seen | kept_out:
            seen.add(real)
            yield here
            for sub in subfolders(here):
                (linked if sub.is_symlink() else own).append(sub)


def found(folder, without=None):
    """The image files of a folder and its subfolders, sorted, or the file given alone.

    Hidden files, those under `without`, links to what is found already, and the masks of a folder in MVTec AD's layout are
    left out.

    Raises:
        UserError: no folder and no image file, or no images in it.
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
    """What the names of the images that are found are relative to: the folder, or that of the file given."""
    folder = pathlib.Path(folder)
    return folder if folder.is_dir() else folder.parent


def batches(paths, image_shape, unreadable, mode="stretch", enlarge="bilinear"):
    """Yields (paths, float32 images (B, *image_shape) in [0, 1], their own (H, W)), in order.

    Args:
        paths: of image files.
        image_shape: (H, W, C) that every image is converted and resized to, C = 1 or 3.
        unreadable: a list; a line is appended for each file that cannot be read.
        mode, enlarge: how an image of another size is resized, see `tfgen.data.readers.resize.resize`.

    Raises:
        UserError: for another number of channels.
    """
    if image_shape[2] not in (1, 3):
        raise UserError(f"expected a model of images of 1 or 3 channels, received one of {image_shape[2]}, which image "
                        "files do not have: give a .npz file, or use the model in Python")
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
            images.append(resize(pixels, image_shape[:2], mode, enlarge))
        if kept:
            yield kept, np.stack(images).astype(np.float32) / 255.0, sizes


def read(live, folder, limit=None):
    """The images of a folder as a model takes them.

    Args:
        live: `verbs.Live` or `serving.export.Served`.
        folder: of images, with subfolders; or an image file.
        limit: the first ones only; None: all.

    Returns:
        (float32 (N, H, W, C) in [0, 1], [path], a line for each file that could not be read).

    Raises:
        UserError: no images, or none that can be read.
    """
    unreadable, paths, images = [], [], []
    for kept, batch, _ in batches(found(folder)[:limit], live.image_shape, unreadable, live.resize):
        paths += kept
        images.append(batch)
    if not paths:
        raise UserError(f"expected images that can be read, all {len(unreadable)} cannot: {unreadable[0]}")
    return np.concatenate(images), paths, unreadable


def labels_of(paths, folder, class_names=()):
    """The classes of images by the names of the subfolders that they are in: int64 (N,), or None.

    Args:
        paths: of image files found in `folder`.
        folder: what was searched.
        class_names: of the model; the subfolders are numbered as they are there. Without any, by name.

    Returns:
        None if an image lies in no subfolder, or in one that is no class of the model.
    """
    names = [path.parent.name if path.parent != root(folder) else None for path in paths]
    known = list(class_names) or sorted({name for name in names if name})
    return np.array([known.index(name) for name in names], np.int64) if set(names) <= set(known) else None


def translate(live, folder, out, verb="translate", resize_back=False, **options):
    """Writes the translation of every image of a folder under the same name.

    Args:
        live: `verbs.Live` or `serving.export.Served`.
        folder: of images, with subfolders; or an image file.
        out: another folder; made if need be.
        verb: `"translate"` or `"translate_back"`.
        resize_back: whether a translation gets its image's own size, or that of the part of it that the model is shown;
            else it has the model's.
        **options: of the verb.

    Returns:
        (number of files written, a line for each file that could not be read).

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
        for path, image, size in zip(kept, live(verb, images, AT_ONCE, **options), sizes, strict=True):
            pixels = np.rint(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
            pictures.save_image(out / path.relative_to(root(folder)),
                                restore(pixels, size, live.resize) if resize_back else pixels)
            written += 1
    return written, unreadable

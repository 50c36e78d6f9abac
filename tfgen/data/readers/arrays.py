"""Reads image arrays from IDX files (the format of MNIST) and NumPy's .npz files."""

import contextlib
import gzip
import math
import pathlib
import zipfile
import zlib

import numpy as np

from tfgen.errors import UserError

IDX_NAMES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
             "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}
_GET = "get the file again from its source"


def _bytes_of(path):
    try:
        data = pathlib.Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" or str(path).endswith(".gz") else data
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise UserError(f"expected gzip data in {str(path)!r}, received something else ({error}): {_GET}") from None
        raise UserError(f"expected a readable file {str(path)!r}, received: {error.strerror or error}: "
                        "check the path") from None
    except (EOFError, zlib.error):
        raise UserError(f"expected whole gzip data in {str(path)!r}, received a truncated or corrupt file: "
                        f"{_GET}") from None


def read_idx(path):
    """The uint8 array of an IDX file, gzipped or not.

    Raises:
        UserError: missing file, corrupt gzip, wrong magic number, or a size that contradicts the header.
    """
    data = _bytes_of(path)
    # Header: 0, 0, type (8 is uint8), rank, then rank big-endian uint32 sides.
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or not 1 <= data[3] <= 4:
        raise UserError(f"expected an IDX file of bytes (magic 00 00 08 01 to 00 00 08 04) in {str(path)!r}, "
                        f"received magic {data[:4].hex(' ') or 'of an empty file'}: {_GET}")
    rank = data[3]
    start = 4 + 4 * rank
    shape = tuple(int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(rank))
    if len(data) < start or len(data) != start + math.prod(shape):
        raise UserError(f"expected {start + math.prod(shape)} bytes in {str(path)!r} by its header "
                        f"{'x'.join(map(str, shape))}, received {len(data)}: {_GET}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def checked(where, images, labels):
    """Checks arrays and converts them: images to uint8 (N, H, W, C), labels to int64 (N,) or None.

    Args:
        where: name of the arrays in error messages.
        images: uint8, or float in [0, 1], of shape (N, H, W) or (N, H, W, C), 1 <= C <= 4.
        labels: integers >= 0 of shape (N,) or (N, 1), or None.

    Raises:
        UserError: wrong dtype, rank or range, NaN, no images, or a number of labels that differs from that of images.
    """
    if images.ndim == 4 and images.shape[1] in (1, 2, 3, 4) and images.shape[3] not in (1, 2, 3, 4):
        raise UserError(f"{where} expects images of shape (N, H, W, C) with 1 to 4 channels last, received {images.shape}, "
                        "which looks like channels first (N, C, H, W): save images.transpose(0, 2, 3, 1)")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 2, 3, 4)):
        raise UserError(f"{where} expects images of shape (N, H, W) or (N, H, W, C) with 1 to 4 channels last, "
                        f"received {images.shape}: reshape or transpose the array, or save vectors (N, D) as floats")
    if not images.size:
        raise UserError(f"{where} expects at least one image, received shape {images.shape}: add images")
    if images.dtype.kind == "f":
        if np.isnan(images).any():
            raise UserError(f"{where} expects numbers in [0, 1], received NaN: replace them and save again")
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise UserError(f"{where} expects floats in [0, 1], received [{low:g}, {high:g}]: "
                            "rescale the array, or save it as uint8 of 0 to 255")
        images = np.rint(images.astype(np.float32) * 255.0).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise UserError(f"{where} expects images of dtype uint8 or float, received {images.dtype}: "
                        "save images.astype('uint8') of 0 to 255")
    images = images[..., None] if images.ndim == 3 else images
    if labels is None:
        return images, None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(f"{where} expects labels as integers of shape (N,), received {labels.dtype} {labels.shape}: "
                        "save class indices from 0")
    if len(labels) != len(images):
        raise UserError(f"{where} expects one label per image, received {len(images)} images and {len(labels)} "
                        "labels: use files that belong together")
    labels = labels.astype(np.int64)
    if labels.min() < 0:
        raise UserError(f"{where} expects labels >= 0, received {labels.min()}: number the classes from 0")
    return images, labels


def read_idx_pair(images_path, labels_path):
    """Images uint8 (N, H, W, C) and labels int64 (N,) of two IDX files; `labels_path` may be None."""
    images = read_idx(images_path)
    if images.ndim not in (3, 4):
        raise UserError(f"expected images (magic 00 00 08 03) in {str(images_path)!r}, received rank {images.ndim}: "
                        "give the images file; its labels are found in the same folder")
    labels = None if labels_path is None else read_idx(labels_path)
    return checked(repr(str(images_path)), images, labels)


def idx_paths(folder):
    """{split: (images path, labels path)} of the four IDX files of a folder, gzipped or not.

    Raises:
        UserError: with the names of missing files.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"expected a folder with the four IDX files, received {str(folder)!r}, "
                        f"which {'is a file' if folder.exists() else 'does not exist'}: check the path")
    paths, missing = {}, []
    for split, names in IDX_NAMES.items():
        found = [next((folder / (name + end) for end in (".gz", "") if (folder / (name + end)).is_file()), None)
                 for name in names]
        missing += [name for name, path in zip(names, found, strict=True) if path is None]
        paths[split] = tuple(found)
    if missing:
        raise UserError(f"expected the four IDX files in {str(folder)!r}, missing {', '.join(missing)} (.gz or not): "
                        "put them there")
    return paths


def has_idx(folder):
    """Whether a folder holds IDX images."""
    return any(pathlib.Path(folder).glob("*-images-idx3-ubyte*"))


def read_idx_folder(folder):
    """{split: (images, labels)} of the four IDX files of a folder."""
    return {split: read_idx_pair(*pair) for split, pair in idx_paths(folder).items()}


def read_idx_file(path):
    """{'train': (images, labels)} of one IDX images file, with labels if their file lies in the same folder."""
    path = pathlib.Path(path)
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    return {"train": read_idx_pair(path, labels if labels != path and labels.is_file() else None)}


def read_npy(path):
    """The array of a .npy file. Raises UserError for a file that cannot be read, and one with pickled objects."""
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"expected an array in {str(path)!r}, received a file from which it cannot be read "
                        f"({' '.join(str(error).split())[:100]}): write it with np.save") from None


def _npz_layout(path, keys):
    """{split: (key of the images, key of the labels)} of the arrays of a .npz file.

    Keys: x_train, y_train, x_test, y_test (and x_validation, y_validation), or x, y, or images, labels; the labels and every
    split but train may be absent.
    """
    if "x_train" in keys:
        splits = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
        named = [name for name in ("validation", "valid", "val") if f"x_{name}" in keys]
        if len(named) > 1:
            raise UserError(f"expected one array to validate on in {str(path)!r}, received "
                            f"{', '.join(f'x_{name}' for name in named)}: leave out the others")
        if named:
            splits["validation"] = f"x_{named[0]}", f"y_{named[0]}"
        return {split: pair for split, pair in splits.items() if pair[0] in keys}
    for pair in (("x", "y"), ("images", "labels")):
        if pair[0] in keys:
            return {"train": pair}
    raise UserError(f"expected the arrays x_train/y_train/x_test/y_test, x/y or images/labels in {str(path)!r}, "
                    f"received {', '.join(sorted(keys)) or 'none'}: save with np.savez(path, x=images, y=labels)")


@contextlib.contextmanager
def npz(path):
    """Context manager: {key: member} of the arrays in a .npz file, and the archive (`numpy.load`) that holds the members.

    Raises:
        UserError: for what cannot be read of the file, in the block, too.
    """
    try:
        # A .npy file named .npz loads as an array, without context manager or keys: TypeError or AttributeError.
        with np.load(path, allow_pickle=False) as archive:
            yield {name[:-4]: name for name in archive.zip.namelist() if name.endswith(".npy")}, archive
    except UserError:
        raise
    except (OSError, ValueError, EOFError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"expected a .npz archive of plain arrays in {str(path)!r}, received: {detail}: "
                        "save it again with np.savez_compressed") from None


def npz_arrays(path):
    """{split: (array, labels or None)} of a .npz file, unchecked; keys as for `_npz_layout`, errors as for `npz`, too."""
    with npz(path) as (members, archive):
        return {split: (archive[members[x]], archive[members[y]] if y in members else None)
                for split, (x, y) in _npz_layout(path, members).items()}


def header_of(file):
    """(shape, dtype) of the array in an open .npy file, from its header alone."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def npz_kinds(path):
    """[(rank, dtype)] of the arrays, but for the labels, of a .npz file, from their headers alone; else as `npz_arrays`."""
    found = []
    with npz(path) as (members, archive):
        for x, _ in _npz_layout(path, members).values():
            with archive.zip.open(members[x]) as file:
                shape, dtype = header_of(file)
                found.append((len(shape), dtype))
    return found


def read_npz(path):
    """{split: (images, labels)} of a .npz file; keys and errors as for `npz_arrays`, arrays as for `checked`."""
    with npz(path) as (members, _):
        keys = {split: x for split, (x, _) in _npz_layout(path, members).items()}
    return {split: checked(f"{keys[split]!r} of {str(path)!r}", *pair) for split, pair in npz_arrays(path).items()}

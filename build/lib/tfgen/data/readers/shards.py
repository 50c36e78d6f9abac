"""Packed folders: images of one size in shards, which are read row by row.

    tfgen-shards.json       class names, resizing; per split its shape, rows per shard, shards, checksums of the other arrays
    train-00000.npy …       uint8 (rows per shard, H, W, C), the last one shorter
    train-hashes.npy        uint8 (N, 16), the checksum of each image
    train-labels.npy        int64 (N,), if there are labels
    train-names.npy         names of the image files
    test-masks.npy          bool (N, H, W), if there are masks

Shards are plain arrays without compression: the place of an image in its file is arithmetic, so that one system call reads
it, in any order, and `numpy.load(…, mmap_mode="r")` opens them anywhere. They are read with `preadv` and not mapped, so that
pages that were read are the system's cache and not this process' memory. array_record, the random-access format of TFDS,
would need a multiple of the CPU time for each image, for its chunks, and its own package to be read.
"""

import hashlib
import os
import pathlib

import numpy as np

from tfgen import files
from tfgen.data.stores import Shards, hash_of
from tfgen.errors import UserError

INDEX, VERSION = "tfgen-shards.json", 1
SHARD_BYTES = 2**30
_AGAIN = "pack the folder again with `tfgen data pack`"


def is_packed(path):
    """Whether a path is a folder that `Writer` has written."""
    return (pathlib.Path(path) / INDEX).is_file()


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Writer:
    """Writes one split: images one by one, then `finish`.

    Args:
        folder: pathlib.Path of an existing folder.
        split: its name, the beginning of its files' names.
        shard_bytes: size of a shard.
    """

    def __init__(self, folder, split, shard_bytes=SHARD_BYTES):
        self.folder = folder
        self.split = split
        self.shard_bytes = shard_bytes
        self.shape = None
        self.count = 0
        self.hashes = bytearray()
        self.shards = []
        self._file = None

    def add(self, image):
        """Appends an image, uint8 (H, W, C), of the shape of the first."""
        if self.shape is None:
            self.shape = image.shape
        if self.count % self.per_shard == 0:
            self._end_shard()
            self.shards.append(f"{self.split}-{len(self.shards):05}.npy")
            self._file = open(self.folder / self.shards[-1], "wb")
            self._header(self.per_shard)
        image = np.ascontiguousarray(image)
        self._file.write(image)
        self.hashes += hash_of(image)
        self.count += 1

    @property
    def per_shard(self):
        return max(1, self.shard_bytes // int(np.prod(self.shape)))

    def _header(self, rows):
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": (rows, *self.shape)})

    def _end_shard(self):
        if self._file is None:
            return
        # NumPy leaves room for other numbers of rows in the header, so that its length stays.
        self._header(self.count - (len(self.shards) - 1) * self.per_shard)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def finish(self, **arrays):
        """Ends the split; writes its checksums and further arrays that are not None. Returns its entry of the index."""
        self._end_shard()
        arrays = {"hashes": np.frombuffer(self.hashes, np.uint8).reshape(-1, 16)} | {
            key: array for key, array in arrays.items() if array is not None}
        for key, array in arrays.items():
            np.save(self.folder / f"{self.split}-{key}.npy", array)
        return {"shape": list(self.shape), "rows": self.count, "rows_per_shard": self.per_shard, "shards": self.shards,
                "sha256": {key: _sha256(self.folder / f"{self.split}-{key}.npy") for key in arrays}}

    def close(self):
        """Closes the shard of a split that is not finished."""
        if self._file is not None:
            self._file.close()


class Files:
    """The shards of one split, opened for reading at any row from any thread.

    Args:
        folder: the packed folder.
        split: name of the split.
        entry: what `Writer.finish` returned.

    Raises:
        UserError: for a missing, truncated or changed file.
    """

    def __init__(self, folder, split, entry):
        self.shape = tuple(entry["shape"])
        self.count = entry["rows"]
        self._per_shard = entry["rows_per_shard"]
        self._bytes = int(np.prod(self.shape))
        self._arrays = folder, split, entry["sha256"]
        self.hashes = self.array("hashes")
        self._intact = np.zeros(self.count, bool)
        self._shards = [self._opened(folder / name, min(self._per_shard, self.count - number * self._per_shard))
                        for number, name in enumerate(entry["shards"])]

    def array(self, key):
        """One of the arrays beside the shards, or None if there is none."""
        folder, split, known = self._arrays
        path = folder / f"{split}-{key}.npy"
        if key not in known:
            return None
        if not path.is_file() or _sha256(path) != known[key]:
            received = "another" if path.is_file() else "no"
            raise UserError(f"expected {str(path)!r} as it was packed, received {received} file: {_AGAIN}")
        return np.load(path)

    def _opened(self, path, rows):
        """(file, place of its first image) after checking the shard's header and size."""
        try:
            file = open(path, "rb", buffering=0)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except (OSError, ValueError) as error:
            received = getattr(error, "strerror", None) or error
            raise UserError(f"expected the shard {str(path)!r}, received: {received}: {_AGAIN}") from None
        start = file.tell()
        wanted, found = start + rows * self._bytes, os.fstat(file.fileno()).st_size
        if (shape, dtype, found) != ((rows, *self.shape), np.uint8, wanted):
            raise UserError(f"expected the shard {str(path)!r} with {rows} images of {'x'.join(map(str, self.shape))} in "
                            f"{wanted} bytes, received {dtype} {shape} in {found} bytes: {_AGAIN}")
        return file, start

    def read(self, rows):
        """Images uint8 (B, H, W, C) at rows int64 (B,); each is compared with its checksum when it is first read.

        Raises:
            UserError: if an image is not the one that was packed.
        """
        images = np.empty((len(rows), *self.shape), np.uint8)
        for image, row in zip(images, rows, strict=True):
            number, place = divmod(int(row), self._per_shard)
            file, start = self._shards[number]
            got = os.preadv(file.fileno(), [image], start + place * self._bytes)
            if got == self._bytes and not self._intact[row]:
                self._intact[row] = hash_of(image) == self.hashes[row].tobytes()
            if got != self._bytes or not self._intact[row]:
                raise UserError(f"expected image {place} of the shard {file.name!r} as it was packed, received other bytes: "
                                f"{_AGAIN}")
        return images


def write_index(folder, **about):
    """Writes the index, the last file of a packed folder."""
    files.write_json(folder / INDEX, {"format": "tfgen shards", "version": VERSION, **about})


def read_index(folder):
    """The index of a packed folder. Raises UserError for one of another format or version."""
    index = files.read_json(folder / INDEX)
    if not isinstance(index, dict) or (index.get("format"), index.get("version")) != ("tfgen shards", VERSION):
        raise UserError(f"expected the index of packed images, version {VERSION}, in {str(folder / INDEX)!r}, received "
                        f"another file: {_AGAIN}")
    return index


def read_packed(folder):
    """(index, {split: Files}) of a packed folder."""
    index = read_index(folder)
    try:
        return index, {split: Files(folder, split, entry) for split, entry in index["splits"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"expected a whole index in {str(folder / INDEX)!r}, received one with an error at {error}: "
                        f"{_AGAIN}") from None


def images_of(found):
    """All images of `Files`, in order."""
    return Shards(found, np.arange(found.count))

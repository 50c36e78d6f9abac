"""Where the rows of a split lie: in memory (`Memory`), or in shards of a packed folder, read as they are needed (`Shards`).

A store has `content`, the array by which `Streams.digest` knows the data, `array`, what the user gets to see (an ndarray, or
`Shards`, which are read like one), and `gather(rows)`, which reads rows inside a TensorFlow graph. Both gather equal bytes.
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from tfgen.errors import UserError, broken_data

# Images are held in memory if they need at most this share of what is available.
SHARE = 0.5
# Of a container: memory.max, memory.current and memory.stat of control groups of version 2.
_GROUP = pathlib.Path("/sys/fs/cgroup")
# What the kernel takes back before it refuses memory, although memory.current counts it.
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")


def available_memory():
    """Bytes that this process can allocate without swapping: those of the machine, or of a container with a limit."""
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        parts = dict(map(str.split, (_GROUP / "memory.stat").read_text().splitlines()))
        return min(free, limit - used + sum(int(parts.get(name, 0)) for name in _RECLAIMABLE))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def gigabytes(count):
    """Bytes as text: '30.1 GB'."""
    return f"{count / 1e9:.3g} GB"


def hash_of(image):
    """The checksum of one image: the first 16 bytes of its BLAKE2b."""
    return hashlib.blake2b(image, digest_size=16).digest()


def read_only(array):
    """A contiguous view of an array that cannot be written to."""
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array


class Memory:
    """Rows of one array, which NumPy and TensorFlow share: it is held once.

    Args:
        array: ndarray (N, …).
        content: array by which `Streams.digest` knows the rows; None: `array`.
    """

    def __init__(self, array, content=None):
        self.array = read_only(array)
        self._content = content
        self._tensor = None

    @property
    def content(self):
        return self.array if self._content is None else self._content

    def __len__(self):
        return len(self.array)

    @property
    def tensor(self):
        """The rows in host memory, made at first use; `array` is then a view of them, so that its own memory is released."""
        if self._tensor is None:
            with tf.init_scope(), tf.device("/CPU:0"):
                self._tensor = tf.constant(self.array)
            self.array = read_only(np.asarray(memoryview(self._tensor)))
        return self._tensor

    def gather(self, rows):
        """Rows (B, …) at indices int64 (B,)."""
        return tf.gather(self.tensor, rows)


@dataclasses.dataclass(frozen=True, eq=False)
class Shards:
    """Images in the shards of a packed folder: read like a read-only uint8 array (N, H, W, C), never held.

    An index, a slice or an array of indices or bools gives an ndarray, `astype` and `np.asarray` the whole.

    Args:
        files: `tfgen.data.readers.shards.Files`.
        rows: indices of the images in the files, int64 (N,).
        columns: the part of each image's width that is used, or None for all.
        change: function of uint8 images (B, H, W, C) applied to those that are read, or None.
    """

    files: Any
    rows: np.ndarray
    columns: slice | None = None
    change: Any = None

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def array(self):
        return self

    @property
    def content(self):
        """Checksums of the images, uint8 (N, 16)."""
        return self.files.hashes[self.rows]

    @property
    def shape(self):
        height, width, channels = self.files.shape
        width = width if self.columns is None else len(range(width)[self.columns])
        return len(self.rows), height, width, channels

    @property
    def nbytes(self):
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        if isinstance(rows, (int, np.integer)):
            return self._read(self.rows[[rows]])[0]
        return self._read(self.rows[rows])

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)

    def astype(self, dtype):
        return self[:].astype(dtype)

    def _read(self, rows):
        images = self.files.read(rows)
        images = images if self.columns is None else np.ascontiguousarray(images[:, :, self.columns])
        return images if self.change is None else self.change(images)

    def _attempt(self, rows):
        """(images of rows, ""), or (no images, the line that says why): an error raised inside a graph has no such line."""
        try:
            return self[rows], b""
        except UserError as error:
            return np.zeros((len(rows), *self.shape[1:]), np.uint8), str(error).encode()

    def gather(self, rows):
        """Images (B, H, W, C) at indices int64 (B,)."""
        images, problem = tf.numpy_function(self._attempt, [rows], [tf.uint8, tf.string], stateful=False)
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(problem, ""), [broken_data(problem)])]):
            return tf.ensure_shape(tf.identity(images), (*rows.shape, *self.shape[1:]))

    def held(self):
        """The same images as `Memory`, with the same content."""
        return Memory(self[:], self.content)


def stored(array):
    """The store of an ndarray, or `Shards` as they are."""
    return array if isinstance(array, Shards) else Memory(array)


def take(images, rows):
    """The images at indices or where a mask is True: an array, or shards of them."""
    return dataclasses.replace(images, rows=images.rows[rows]) if isinstance(images, Shards) else images[rows]


def changed(images, change):
    """`change(images)`; of shards, as they are read."""
    return dataclasses.replace(images, change=change) if isinstance(images, Shards) else change(images)


def halves(images):
    """The left and the right half of images (N, H, 2 W, C)."""
    if not isinstance(images, Shards):
        return np.split(images, 2, axis=2)
    half = images.shape[2] // 2
    return [dataclasses.replace(images, columns=columns) for columns in (slice(half), slice(half, 2 * half))]


def hashes(images):
    """The checksum of each image; shards know them (of image files that hold two images: of both)."""
    return list(map(bytes, images.content)) if isinstance(images, Shards) else [
        hash_of(np.ascontiguousarray(image)) for image in images]


def floats(rows):
    """uint8 images (N, H, W, C), or shards of them, as float32 in [0, 1]; float32 vectors as they are."""
    return rows.astype(np.float32) / np.float32(255) if rows.dtype == np.uint8 else np.asarray(rows)


def batches(rows, size):
    """Yields batches of rows as `floats`, in order."""
    for start in range(0, len(rows), size):
        yield floats(rows[start:start + size])

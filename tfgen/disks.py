"""Disks that are full, by whatever name a library calls it."""

import contextlib
import errno
import os
import pathlib
import re

from tfgen.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How NumPy, HDF5 and TensorFlow, whose errors have no number, say the same.
_FULL_TEXT = re.compile("|".join([r"\d+ requested and \d+ written", rf"errno = ({'|'.join(map(str, sorted(_FULL)))})\b",
                                  *(re.escape(os.strerror(number)) for number in sorted(_FULL))]))


def is_full(error):
    """Whether an error, or what caused it, says that a disk, a quota or a file's allowed size is full."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or _FULL_TEXT.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _disk_of(folder):
    """Where the disk of a folder, that may be still to be made, is mounted."""
    folder = pathlib.Path(folder).absolute()
    return next(parent for parent in (folder, *folder.parents) if os.path.ismount(parent))


@contextlib.contextmanager
def room_in(folder, intact=""):
    """Turns an error of the block that says so into a `DiskFull` that names the folder.

    Args:
        folder: that is written to.
        intact: function without arguments that says what is kept, and what to do; or "".
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        kept = f"; {intact()}" if intact else ""
        raise DiskFull(f"no space left for {folder}, on the disk {_disk_of(folder)}{kept}") from error

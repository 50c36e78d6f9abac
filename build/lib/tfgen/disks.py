"""Full disks, whichever error a library raises for them."""

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
    """Whether an error or its cause reports a full disk, an exhausted quota or the maximum file size."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or _FULL_TEXT.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _disk_of(folder):
    """Mount point of the disk of a folder, which need not exist."""
    folder = pathlib.Path(folder).absolute()
    return next(parent for parent in (folder, *folder.parents) if os.path.ismount(parent))


@contextlib.contextmanager
def room_in(folder, intact=""):
    """Context manager: turns the block's error about a full disk into a `DiskFull` that names the folder.

    Args:
        folder: folder that the block writes to.
        intact: function () -> message about what is kept and what to do, or "".
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        kept = f"; {intact()}" if intact else ""
        raise DiskFull(f"no space left for {folder}, on the disk {_disk_of(folder)}{kept}") from error

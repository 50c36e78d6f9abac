"""Files that are never half there: written aside in the same folder, then renamed."""

import atexit
import contextlib
import errno
import functools
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

from tfgen.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How HDF5 and TensorFlow, whose errors have no number, say the same.
_FULL_TEXT = re.compile("|".join([rf"errno = ({'|'.join(map(str, sorted(_FULL)))})\\b",
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


@contextlib.contextmanager
def written_aside(path):
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds, else removes it.

    Raises:
        DiskFull: if there is no room for it.
    """
    path = pathlib.Path(path)
    with room_in(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        try:
            yield pathlib.Path(aside)
            os.chmod(aside, 0o644)
            with open(aside, "rb") as written:
                os.fsync(written.fileno())
            os.replace(aside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)


def write_text(path, text):
    """Writes a text file, UTF-8, whole or not at all; names of files that are not UTF-8 keep their bytes."""
    with written_aside(path) as aside:
        aside.write_text(text, "utf-8", "surrogateescape")


def write_json(path, value):
    """Writes JSON, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path):
    """What `write_json` wrote."""
    return json.loads(pathlib.Path(path).read_text("utf-8"))


@functools.cache
def cache_folder(wanted, what):
    """`wanted`, made if need be; where that cannot be written a temporary folder of this process, which a line names.

    Args:
        wanted: a folder.
        what: what is kept there, such as "feature extractors".
    """
    try:
        if wanted.parts[0] == "~":
            raise OSError(errno.ENOENT, "there is no home")
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError as error:
        spare = pathlib.Path(tempfile.mkdtemp(prefix="tfgen-"))
        atexit.register(shutil.rmtree, spare, ignore_errors=True)
        print(f"{what} are kept in {spare} for now, {wanted} cannot be written ({error.strerror})", file=sys.stderr)
        return spare

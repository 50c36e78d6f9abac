"""Atomic files and folders: written under a temporary name in the same folder, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

from tfgen.disks import room_in
from tfgen.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Begins the names of files that are being written.
ASIDE = ".tfgen-"


def digest(path):
    """A file's SHA-256 in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder):
    """Removes temporary files of killed processes under a folder that no other process writes to."""
    for path in [path for path in pathlib.Path(folder).rglob(f"{ASIDE}*") if path.is_file()]:
        path.unlink()


@contextlib.contextmanager
def folder_aside(folder):
    """Yields a new temporary folder in `folder`, to be renamed; removes it if it still has its name at the end.

    First removes temporary folders of killed processes; those of running processes are locked and stay.

    Raises:
        DiskFull: if the disk is full.
    """
    folder = pathlib.Path(folder)
    with room_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{ASIDE}*/"):
            with contextlib.suppress(OSError), _locked(left) as dead:
                if dead:
                    shutil.rmtree(left)
        made = pathlib.Path(tempfile.mkdtemp(prefix=".", dir=folder))
        with _locked(made):
            # Held before it has a name that is swept.
            aside = made.rename(made.with_name(f"{ASIDE}{made.name[1:]}"))
            try:
                yield aside
            finally:
                shutil.rmtree(aside, ignore_errors=True)


def replace_folder(aside, folder):
    """Renames a temporary folder of `folder_aside` to `folder`, in place of what is there; that is kept if it fails."""
    replaced = aside.with_name(f"{aside.name}-replaced")
    there = folder.exists()
    if there:
        folder.rename(replaced)
    try:
        aside.rename(folder)
    except OSError:
        if there:
            replaced.rename(folder)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def remove(path):
    """Removes a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextlib.contextmanager
def _locked(folder):
    """Locks a folder; yields True, False if another process holds the lock, None if the system has no locks."""
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            got = True
        except BlockingIOError:
            got = False
        except OSError:
            got = None  # a file system without locks
        yield got
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(folder):
    """Locks a folder (created if necessary) for this process; the system releases the lock when the process ends.

    Raises:
        UserError: if another process holds it.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as got:
        if got is False:
            raise UserError(f"{folder} is being written by another training: wait for it, or choose another --out")
        yield


@contextlib.contextmanager
def written_aside(path, named=None):
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds, else removes it.

    Args:
        named: function of the written temporary path that gives the final one, for names that depend on the content.

    Raises:
        DiskFull: if the disk is full.
        OSError: with `path` as its file, not the temporary one.
    """
    path = pathlib.Path(path)
    with room_in(path.parent):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(prefix=ASIDE, suffix=path.suffix, dir=path.parent)
        except OSError as error:
            error.filename = str(path.parent)  # and not the name aside
            raise
        os.close(handle)
        try:
            yield pathlib.Path(aside)
            os.chmod(aside, 0o644)
            with open(aside, "rb") as written:
                os.fsync(written.fileno())
            os.replace(aside, named(aside) if named else path)
        except OSError as error:
            if str(error.filename) == aside:
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)


def settle(folder):
    """Returns when the names of files in a folder are on the disk, so that a power cut undoes no renaming from before; at
    once on systems without that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path, text):
    """Writes a UTF-8 text file atomically; file names that are not UTF-8 keep their bytes."""
    with written_aside(path) as aside:
        aside.write_text(text, "utf-8", "surrogateescape")


def write_json(path, value):
    """Writes indented JSON, keys in the order given."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def kept(path):
    """Puts a file back as it was, or removes one that was not there, if the block fails."""
    path = pathlib.Path(path)
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            with written_aside(path) as aside:
                aside.write_bytes(before)
        raise


def read_json(path):
    """Reads a JSON file.

    Raises:
        UserError: for a file that is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"expected JSON in {path}, it cannot be read ({error}): restore it") from None

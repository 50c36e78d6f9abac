"""Files that are never half there: written aside in the same folder, then renamed."""

import contextlib
import json
import os
import pathlib
import tempfile


@contextlib.contextmanager
def written_aside(path):
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds, else removes it."""
    path = pathlib.Path(path)
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
    """Writes a text file whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text)


def write_json(path, value):
    """Writes JSON, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path):
    """What `write_json` wrote."""
    return json.loads(pathlib.Path(path).read_text())

"""Full disks: one line, and nothing half there."""

import errno
import os

import pytest

from tfgen import data, disks, files, runs
from tfgen.errors import DiskFull


@pytest.mark.parametrize("error, full", [
    (OSError(errno.ENOSPC, "x"), True), (OSError(errno.EDQUOT, "x"), True), (OSError(errno.EACCES, "x"), False),
    (OSError("Can't write data (file write failed: time = now, errno = 28, error message = '')"), True),
    (OSError("128000 requested and 10208 written"), True),
    (OSError("[Errno 2] Unable to open file (errno = 2)"), False), (RuntimeError("No space left on device; x.data"), True)])
def test_a_full_disk_by_any_name(error, full, tmp_path):
    assert disks.is_full(error) == full
    with pytest.raises(DiskFull if full else type(error)) as raised, disks.room_in(tmp_path / "deep", lambda: "kept"):
        raise error
    assert not full or "no space left for" in str(raised.value) and str(raised.value).endswith("; kept")


def full_when(monkeypatch, condition):
    """Lets a file be written to the disk but where the condition holds."""
    sync = os.fsync

    def fsync(handle):
        if condition():
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.txt", "old")
    full_when(monkeypatch, lambda: True)
    with pytest.raises(DiskFull, match="no space left"):
        files.write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_run_says_what_is_intact(tmp_path, monkeypatch):
    out = tmp_path / "run"

    def train():
        return runs.train("autoencoder", data.load("digits"), out, 2, {"latent_dim": 2}, batch_size=512, verbose=0)

    with monkeypatch.context() as patch:
        full_when(patch, lambda: (out / "run.json").exists())
        with pytest.raises(DiskFull, match="there was no checkpoint yet: make room, then train again"):
            train()
    with monkeypatch.context() as patch:
        # A run that ended before its first checkpoint is in nobody's way.
        full_when(patch, lambda: any(out.glob("checkpoints/step-*")))
        with pytest.raises(DiskFull, match="the checkpoint of step 2 is whole: make room, then go on with"):
            train()
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    assert runs.checkpoints.newest(out)[1] == 2

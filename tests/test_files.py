"""Files that are never half there, and folders that one process writes."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from tfgen import data, errors, files, runs


def test_a_folder_is_held_by_one_process_and_free_when_it_is_killed(tmp_path):
    root = pathlib.Path(files.__file__).parents[1]
    code = f"""
import sys, types
sys.path.insert(0, {str(root)!r})
sys.modules["tfgen"] = package = types.ModuleType("tfgen")
package.__path__ = [{str(root / "tfgen")!r}]  # without TensorFlow
from tfgen import files
with files.held({str(tmp_path / "run")!r}):
    print("held", flush=True)
    input()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(errors.UserError, match="is being written by another training"), files.held(tmp_path / "run"):
            pass
    finally:
        other.kill()
        other.wait()
    with files.held(tmp_path / "run"):
        assert not list((tmp_path / "run").iterdir())


def test_what_a_killed_process_was_writing_is_swept(tmp_path):
    deep = tmp_path / "samples" / "epoch-0001.png"
    for path in (tmp_path / "kept.png", tmp_path / ".hidden"):
        path.write_text("kept")
    with files.written_aside(deep) as aside:
        left = aside.with_name(f"{aside.name}-left")
        os.link(aside, left)
        aside.write_text("whole")
    files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".hidden", "epoch-0001.png", "kept.png", "samples"]


def test_errors_name_the_path_that_was_asked_for(tmp_path):
    """And not the file that is written aside; a folder in its place is told before anything is computed."""
    with pytest.raises(IsADirectoryError) as raised, files.written_aside(tmp_path):
        raise AssertionError("the block was entered")
    assert raised.value.filename == str(tmp_path)
    path = tmp_path / "d.png"
    with pytest.raises(IsADirectoryError) as raised, files.written_aside(path):
        path.mkdir()
    assert raised.value.filename == str(path) and str(raised.value).endswith(f": '{path}'")
    assert [left.name for left in tmp_path.iterdir()] == ["d.png"]


def test_an_export_names_data_without_paths(tmp_path):
    assert data.portable({"name": "digits", "data_dir": "/a/b"}) == {"name": "digits", "data_dir": None}
    local = data.portable({"name": str(tmp_path / "faces"), "image_size": 8, "data_dir": None})
    assert local == {"name": "faces", "image_size": 8, "data_dir": None, "local": True}


def test_a_folder_aside_outlives_no_process_and_no_living_one_loses_it(tmp_path):
    dead = tmp_path / f"{files.ASIDE}dead"
    (dead / "variables").mkdir(parents=True)
    with files.folder_aside(tmp_path) as first, files.folder_aside(tmp_path) as second:
        assert first.is_dir() and second.is_dir() and not dead.exists()
        second.rename(tmp_path / "1")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    with pytest.raises(errors.DiskFull), files.folder_aside(tmp_path):
        raise OSError(errno.ENOSPC, "full")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_somebody_else_wrote_to_is_named(tmp_path):
    for name, read in (("metrics.json", lambda: files.read_json(tmp_path / "metrics.json")),
                       ("history.csv", lambda: runs.read_history(tmp_path))):
        (tmp_path / name).write_text("epoch,loss\nx,y\n")
        with pytest.raises(errors.UserError, match=rf"{name}, it cannot be read \(.*: restore it"):
            read()

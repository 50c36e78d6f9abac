"""Commands on packed folders: data pack, train, evaluate."""

import pathlib

import numpy as np
import pytest
from cases import SMALL
from helpers import write_category, write_images

from tfgen.data import stores

QUICK = [*SMALL, "--epochs", 2, "--batch-size", 8]


@pytest.fixture
def streamed(monkeypatch, tmp_path):
    """No room for packed images in memory."""
    monkeypatch.setattr(stores, "SHARE", 0.0)


def rows(run):
    """A run's history without its times."""
    lines = [line.split(",") for line in pathlib.Path(run, "history.csv").read_text().splitlines()]
    kept = [i for i, key in enumerate(lines[0]) if "second" not in key and "per_s" not in key]
    return [[line[i] for i in kept] for line in lines]


@pytest.mark.rotating
def test_a_packed_folder_trains_as_the_folder_does(tfgen, tmp_path, streamed):
    for label in ("cat", "dog"):
        write_images(tmp_path / "pets" / label, 40, (8, 8))
    code, out, err = tfgen("data", "pack", "pets", "--out", "packs/pets")
    assert code == 0 and "packed 80 train images in packs/pets" in out and err == ""
    for data, run in (("pets", "a"), ("packs/pets", "b")):
        code, _, err = tfgen("train", "vae", "--data", data, "--out", run, *QUICK)
        assert code == 0, err
        assert ("read from the shards as they are needed" in err) == (run == "b")
    assert rows("a") == rows("b") and len(rows("b")) == 3
    code, out, err = tfgen("evaluate", "b")
    assert code == 0 and "loss" in out, err
    # Each image has changed on disk: training ends in one line.
    images = np.load("packs/pets/train-00000.npy")
    np.save("packs/pets/train-00000.npy", images ^ 1)
    code, _, err = tfgen("train", "vae", "--data", "packs/pets", "--out", "c", *QUICK)
    last = err.splitlines()[-1]
    assert code == 2 and last.startswith("error: expected image ") and "as it was packed" in last and "Traceback" not in err


@pytest.mark.rotating
def test_a_detector_of_a_packed_category(tfgen, tmp_path, streamed):
    write_category(tmp_path / "nut", (8, 8, 3))
    assert tfgen("data", "pack", "nut", "--out", "packed", "--image-size", 8)[0] == 0
    code, _, err = tfgen("train", "ae_anomaly", "--data", "packed", "--out", "run", *QUICK)
    assert code == 0 and "read from the shards" in err, err
    code, out, err = tfgen("evaluate", "run")
    assert code == 0 and "auroc" in out, err


def test_packing_says_what_is_wrong(tfgen, tmp_path):
    write_images(tmp_path / "files", 3)
    (tmp_path / "files" / "broken.png").write_bytes(b"no image")
    code, _, err = tfgen("data", "pack", "files", "--out", "packed")
    assert code == 2 and "broken.png" in err and "--skip-unreadable" in err and err.count("\n") == 1
    code, out, err = tfgen("data", "pack", "files", "--out", "packed", "--skip-unreadable", "--image-size", "4x5")
    assert code == 0 and "packed 3 train images" in out and err.count("passed over") == 1
    code, _, err = tfgen("data", "pack", "files", "--out", "files")
    assert code == 2 and "new or empty folder" in err and err.count("\n") == 1

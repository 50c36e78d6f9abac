import time

import numpy as np
import pytest
from helpers import again, one_line, pixels, same, write_category, write_images
from PIL import Image

from tfgen.data import load
from tfgen.data.splits import carve, copies, copies_line


@pytest.fixture
def frames(tmp_path):
    """20 scenes of 5 frames, three of them equal."""
    for scene in range(20):
        for frame, image in enumerate(pixels(3, 6, 6)[[0, 1, 2, 2, 2]]):
            Image.fromarray(image).save(tmp_path / f"scene{scene:02}_{frame}.png")
    return tmp_path


def scenes(data, folder):
    """{split: the scenes of its images}."""
    known = {np.asarray(Image.open(path)).tobytes(): path.name[:7] for path in folder.iterdir()}
    return {split: {known[x.tobytes()] for x in data.images(split)} for split in data.spec.sizes}


@pytest.mark.parametrize("pattern", ["^[^_]+", "(scene[0-9]+)_"])
def test_groups_are_not_separated(frames, pattern, capsys):
    data = load(frames)
    assert "of 10 test images are in train too" in capsys.readouterr().err
    data = load(frames, group_by=pattern)
    parts = scenes(data, frames)
    assert capsys.readouterr().err == "" and sum(map(len, parts.values())) == 20
    assert data.spec.sizes == {"train": 80, "validation": 10, "test": 10}
    assert data.source["group_by"] == pattern and same(data, again(data))
    # Images of one group do not follow each other in training.
    order = [x.tobytes() for x in data.images("train")]
    assert sum(a == b for a, b in zip(order, order[1:])) < 20


def test_groups_of_other_layouts(tmp_path):
    for name in ("trainA", "trainB"):
        write_images(tmp_path / "two" / name, 30)
    data = load(tmp_path / "two", group_by="^.")  # names begin with 0, 1, 2 or 3 to 9
    assert sum(len(data.sources(split)) for split in data.spec.sizes) == 30 and same(data, again(data))
    write_category(tmp_path / "nut")
    data = load(tmp_path / "nut", group_by="^.")
    assert data.spec.sizes["train"] + data.spec.sizes["validation"] == 20 and same(data, again(data))


def test_groups_that_cannot_be_made(frames):
    one_line(["regular expression", "'('"], load, frames, group_by="(")
    one_line(["every file's name", "frame", "scene00_0.png"], load, frames, group_by="frame")
    one_line(["received 1", "more and smaller groups"], load, frames, group_by="scene")
    one_line(["folder of image files", "'digits'"], load, "digits", group_by="^.")


def test_what_is_missing_is_counted_before_any_split_is_carved(tmp_path):
    """The number that is needed in all, beside that of the files."""
    for count, others, least in ((2, (), 3), (1, (), 3), (1, ("validation",), 2)):
        splits = dict.fromkeys(("train", *others), (np.zeros((count, 1, 1, 1), np.uint8), None))
        one_line([f"at least {least} images", f"received {count}:"], carve, "a", splits)
    parts = carve("a", {"train": (np.zeros((3, 1, 1, 1), np.uint8), None)})
    assert [len(images) for images, _ in parts.values()] == [1, 1, 1]
    write_images(tmp_path, 10)
    one_line(["test and validation", "received 2 by --group-by"], load, tmp_path, group_by="^0|png")


def test_without_groups_the_splits_are_as_they_were():
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    splits = carve("a", {"train": (images, None)})
    order = np.random.RandomState(0).permutation(100)
    assert splits["test"][0].ravel().tolist() == order[-10:].tolist()
    again = np.random.RandomState(0).permutation(90)
    assert splits["validation"][0].ravel().tolist() == order[:90][again[-9:]].tolist()
    assert splits["train"][0].ravel().tolist() == order[:90][again[:-9]].tolist()


def test_copies_are_counted():
    x = pixels(9, 4, 4, 1)
    assert copies({"train": x[:5], "validation": x[5:7], "test": x[7:]}) == []
    arrays = {"train": x[:5], "validation": x[[4, 4, 5]], "test": x[[0, 5, 6, 4]]}
    assert copies(arrays) == [(2, "validation", "train"), (2, "test", "train"), (2, "test", "validation")]
    line = copies_line("a", arrays)
    assert "2 of 3 validation images are in train too, 2 of 4 test images are in train too" in line and "\n" not in line
    assert copies_line("a", {"train": x}) is None and copies_line("a", {}) is None


def test_digits_have_no_copies(capsys):
    load("digits")
    load("digits", domains="3,8")
    assert capsys.readouterr().err == ""


def test_copies_of_unpaired_sources(tmp_path, capsys):
    for name in ("trainA", "trainB"):
        write_images(tmp_path / name, 30)
    Image.open(tmp_path / "trainA" / "0.png").save(tmp_path / "trainA" / "copy.png")
    load(tmp_path)
    quiet = capsys.readouterr().err
    (tmp_path / "testA").mkdir()
    Image.open(tmp_path / "trainA" / "0.png").save(tmp_path / "testA" / "copy.png")
    write_images(tmp_path / "testB", 3)
    load(tmp_path)
    assert quiet.count("\n") <= 1 and "1 of 1 test images are in train too" in capsys.readouterr().err


def test_copies_are_found_quickly():
    x = pixels(60000, 28, 28, 1)
    started = time.process_time()
    copies({"train": x[:50000], "test": x[50000:]})
    assert time.process_time() - started < 2

"""IDX and npz files."""

import gzip
import os
import zipfile

import numpy as np
import pytest
from helpers import again, idx_bytes, one_line, pixels, write_idx

from tfgen.data import load
from tfgen.data.readers.arrays import IDX_NAMES, read_idx, read_npz


@pytest.mark.parametrize("end", [".gz", ""])
def test_idx_folder(tmp_path, end):
    arrays = write_idx(tmp_path, end=end)
    data = load(tmp_path)
    assert data.spec.sizes == {"train": 54, "validation": 6, "test": 20} and data.spec.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(data.images("test")[..., 0], arrays["test"][0])
    np.testing.assert_array_equal(data.labels("test"), arrays["test"][1])
    images = {image.tobytes(): label for image, label in zip(*arrays["train"], strict=True)}
    for split in ("train", "validation"):
        for image, label in zip(data.images(split), data.labels(split), strict=True):
            assert images.pop(image.tobytes()) == label
    assert not images
    single = load(tmp_path / f"train-images-idx3-ubyte{end}")
    assert single.spec.sizes == {"train": 49, "validation": 5, "test": 6} and single.spec.num_classes == 10


def test_idx_errors(tmp_path):
    write_idx(tmp_path)
    images, labels = (tmp_path / f"{name}.gz" for name in IDX_NAMES["train"])
    whole = gzip.decompress(images.read_bytes())
    cases = [(whole[:-5], ["60x28x28", "47056", "47051"]), (whole + b"x", ["47057"]), (whole[:9], ["expected", "9"]),
             (b"\x00\x00\x0d\x03" + whole[4:], ["magic", "0d"]), (b"", ["empty"]), (b"P5 hello", ["magic"])]
    for content, words in cases:
        images.write_bytes(gzip.compress(content))
        one_line([*words, images.name], load, tmp_path)
    packed = gzip.compress(whole)
    for content, word in [(packed[:len(packed) // 2], "truncated"), (b"<html>not found</html>", "gzip"), (b"", "empty"),
                          (packed[:100] + b"zzzz" + packed[104:], "corrupt")]:
        images.write_bytes(content)
        one_line([images.name] if word in ("corrupt", "empty") else [word, images.name], load, tmp_path)
    images.write_bytes(gzip.compress(idx_bytes(pixels(59, 28, 28))))
    one_line(["59 images", "60 labels"], load, tmp_path)
    one_line(["rank 1"], load, labels)
    labels.unlink()
    one_line(["missing train-labels-idx1-ubyte"], load, tmp_path)
    one_line(["nothing-here"], read_idx, tmp_path / "nothing-here")


def test_npz_layouts(tmp_path):
    x, y = pixels(40, 5, 4), np.arange(40) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y[:, None], x_test=x[:7], y_test=y[:7])
    data = load(str(tmp_path / "a.npz"))
    assert data.spec.name == "a" and data.spec.num_classes == 3 and data.spec.image_shape == (5, 4, 1)
    assert data.spec.sizes == {"train": 36, "validation": 4, "test": 7}
    np.savez(tmp_path / "b.npz", images=pixels(40, 5, 4, 3) / 255.0)
    (tmp_path / "b.npz").rename(tmp_path / "b.NPZ")
    data = load(tmp_path / "b.NPZ", image_size=6)
    assert data.spec.image_shape == (6, 6, 3) and data.labels("train") is None and data.spec.num_classes is None
    np.savez_compressed(tmp_path / "c.npz", x=(x / 255).astype(np.float32), y=y)
    found = np.concatenate([load(tmp_path / "c.npz").images(s) for s in ("train", "validation", "test")])
    assert sorted(map(bytes, found)) == sorted(map(bytes, x))


@pytest.mark.parametrize(("numbers", "names"), [((1, 2, 3), ("1", "2", "3")), ((3, 900), ("3", "900")), ((0, 1, 2), ()),
                                                ((5, 2**40), ("5", str(2**40))), ((0, 1, 3), ("0", "1", "3"))])
@pytest.mark.parametrize("shape", [(4, 4), (5,)])
def test_classes_are_the_numbers_that_occur(tmp_path, numbers, names, shape):
    """Those in between had no images, and models learnt them; of images, rows and the windows of a series."""
    x, y = pixels(60, *shape) / 255, np.array(numbers)[np.arange(60) % len(numbers)]
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    for options in ({}, {"window": 3}) if len(shape) == 1 else ({},):
        data = load(tmp_path / "a.npz", **options)
        assert data.spec.num_classes == len(numbers) and data.spec.class_names == names and again(data).spec == data.spec
        assert set(data.labels("train")) <= set(range(len(numbers)))
    places = load(tmp_path / "a.npz").labels("test")
    assert places.dtype == np.int64 and np.array(numbers)[places].tolist() == y[:7].tolist()
    assert load(tmp_path / "a.npz", normal=numbers[1]).spec.class_names[0] == str(numbers[1])


@pytest.mark.parametrize(("arrays", "words"), [
    ({"data": np.zeros((3, 4, 4), np.uint8)}, ["x_train", "received data"]),
    ({"x": np.zeros((30, 4, 4), np.int64)}, ["int64", "uint8"]),
    ({"x": np.zeros((30, 16), np.uint8)}, ["(30, 16)"]),
    ({"x": np.zeros((30, 3, 32, 32), np.uint8)}, ["channels last", "(30, 3, 32, 32)"]),
    ({"x": np.full((30, 4, 4), 255.0)}, ["[0, 1]", "255"]),
    ({"x": np.full((30, 4, 4), -0.5)}, ["[0, 1]", "-0.5"]),
    ({"x": np.full((30, 4, 4), np.nan)}, ["NaN"]),
    ({"x": np.zeros((0, 4, 4), np.uint8)}, ["at least one"]),
    ({"x": np.zeros((1, 4, 4), np.uint8)}, ["received 1"]),
    ({"x": np.zeros((30, 4, 4), np.uint8), "y": np.zeros(29, int)}, ["30 images", "29 labels"]),
    ({"x": np.zeros((30, 4, 4), np.uint8), "y": np.zeros(30)}, ["float64"]),
    ({"x": np.zeros((30, 4, 4), np.uint8), "y": np.eye(30, dtype=int)}, ["(30, 30)"]),
    ({"x": np.zeros((30, 4, 4), np.uint8), "y": np.full(30, -1)}, ["-1"]),
    ({"x_train": np.zeros((30, 4, 4), np.uint8), "x_test": np.zeros((3, 5, 5), np.uint8)}, ["4x4", "image-size"]),
    ({"x_train": np.zeros((30, 4, 4), np.uint8), "x_test": np.zeros((3, 4, 4, 3), np.uint8)}, ["channels"]),
    ({f"x_{split}": np.zeros((9, 4, 4), np.uint8) for split in ("train", "valid", "val")}, ["one array", "x_valid, x_val"]),
    ({"x": np.array([[["a"]]], object)}, ["npz"])])
def test_npz_errors(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    one_line(words, load, tmp_path / "a.npz")


def test_broken_files(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no archive")
    one_line(["a.npz"], load, tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.zeros(3))
    os.rename(tmp_path / "b.npy", tmp_path / "b.npz")
    one_line(["b.npz"], load, tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=pixels(30, 4, 4))
    whole = (tmp_path / "c.npz").read_bytes()
    for place in (whole.index(b"PK\x01\x02"), whole.index(b"\x93NUMPY"), len(whole) - 22):
        for reader in (load, read_npz):
            (tmp_path / "c.npz").write_bytes(whole[:place] + b"broken" + whole[place + 6:])
            one_line(["c.npz"], reader, tmp_path / "c.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x", b"no array, as its name says")
    for reader in (load, read_npz):
        one_line(["d.npz", "x_train", "received none"], reader, tmp_path / "d.npz")
    (tmp_path / "a.txt").write_text("hello")
    one_line(["a.txt"], load, tmp_path / "a.txt")
    one_line(["check the path"], load, tmp_path / "missing")

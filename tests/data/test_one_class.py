import json

import numpy as np
import pytest
import tensorflow as tf
from helpers import again, multiset, one_line, pixels, same, write_category, write_images, write_mask
from PIL import Image

from tfgen.data import Dataset, DataSpec, load, one_class, views
from tfgen.data.readers.resize import resize_mask
from tfgen.evaluation import extractor_training

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_one_normal_class(digits):
    data = load("digits", normal="3")
    spec = data.spec
    assert spec.view == "one_class" and spec.name == "digits: 3" and spec.num_classes is None and spec.source_shape is None
    assert spec.class_names == ("3", "0", "1", "2", "4", "5", "6", "7", "8", "9")
    for split in ("train", "validation"):
        np.testing.assert_array_equal(data.images(split), digits.images(split)[digits.labels(split) == 3])
        assert data.labels(split) is None and not data.anomalous(split).any()
    np.testing.assert_array_equal(data.images("test"), digits.images("test"))
    known = np.array(spec.class_names)[data.labels("test")]
    np.testing.assert_array_equal(known.astype(int), digits.labels("test"))
    np.testing.assert_array_equal(data.anomalous("test"), digits.labels("test") != 3)
    assert spec.sizes == {split: len(data.images(split)) for split in SPLITS} and data.anomalous("train").shape == (
        spec.sizes["train"],)
    assert data.labels("test").dtype == np.int64 and data.anomalous("test").dtype == bool
    assert all(data.masks(split) is None for split in SPLITS)
    assert data.source["normal"] == ["3"] and same(data, again(data))
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("normal", ["8, 3", [3, 8], ("8", 3), (np.int64(3), "8", "3")])
def test_several_normal_classes(digits, normal):
    data = load("digits", normal=normal)
    assert data.spec.name == "digits: 3, 8" and data.spec.class_names == ("normal", *"01245679")
    np.testing.assert_array_equal(data.images("train"), digits.images("train")[np.isin(digits.labels("train"), (3, 8))])
    assert data.source["normal"] == ["3", "8"] and same(data, again(data)) and same(data, one_class(digits, normal))


def test_leave_one_out(digits):
    data = load("digits", anomalous=3)
    assert data.spec.name == "digits: not 3" and data.spec.class_names == ("normal", "3")
    for split in ("train", "validation"):
        np.testing.assert_array_equal(data.images(split), digits.images(split)[digits.labels(split) != 3])
    np.testing.assert_array_equal(data.labels("test"), digits.labels("test") == 3)
    assert data.source["anomalous"] == ["3"] and same(data, again(data)) and same(data, one_class(digits, anomalous="3"))
    two = load("digits", anomalous="8,3")
    assert two.spec.name == "digits: not 3, 8" and two.spec.class_names == ("normal", "3", "8")
    np.testing.assert_array_equal(two.labels("test") == 2, digits.labels("test") == 8)


def test_classes_by_name(tmp_path):
    known = {label: write_images(tmp_path / label, 40) for label in ("Bag", "ankle boot", "sandal")}
    data = load(tmp_path, normal="ANKLE boot")
    assert data.spec.name == f"{tmp_path.name}: ankle boot" and data.spec.class_names == ("ankle boot", "Bag", "sandal")
    assert same(data, load(tmp_path, normal=1)) and same(data, again(data))
    assert not set(multiset(data.images("train"), data.images("validation"))) - set(multiset(known["ankle boot"]))
    assert data.source["normal"] == ["ankle boot"]
    assert load(tmp_path, normal="Bag,sandal").spec.class_names == ("normal", "ankle boot")
    assert load(tmp_path, anomalous="bag,sandal").spec.class_names == ("ankle boot", "Bag", "sandal")


def test_numbers_without_images_are_no_classes(tmp_path):
    labels = np.array([1, 2, 4] * 20)
    np.savez(tmp_path / "a.npz", x_train=pixels(60, 4, 4), y_train=labels, x_test=pixels(9, 4, 4), y_test=labels[:9])
    data = load(tmp_path / "a.npz", normal=2)
    assert data.spec.class_names == ("2", "1", "4") and list(data.labels("test")) == [1, 0, 2] * 3
    assert same(data, again(data))
    for wanted in ({"normal": 3}, {"anomalous": 3}):
        one_line(["'1', '2', '4', received '3'"], load, tmp_path / "a.npz", **wanted)


@pytest.mark.parametrize(("arguments", "words"), [
    ({}, ["received neither"]), ({"normal": 3, "anomalous": 4}, ["received both"]),
    ({"normal": "thre"}, ["'0', '1'", "0 to 9", "received 'thre'"]), ({"normal": 10}, ["received '10'"]),
    ({"anomalous": "3,,4"}, ["received ''"]), ({"normal": "0,1,2,3,4,5,6,7,8,9"}, ["received 10 normal and 0 anomalous"]),
    ({"anomalous": range(10)}, ["received 0 normal and 10 anomalous"]), ({"normal": []}, ["received 0 normal"])])
def test_wrong_classes_are_one_line(digits, arguments, words):
    one_line(words, one_class, digits, **arguments)


def test_data_without_classes_to_choose(tmp_path, digits):
    for label in ("cat", "dog"):
        write_images(tmp_path / "pets" / label, 20)
    one_line(["'cart'", "did you mean 'cat'"], load, tmp_path / "pets", anomalous="cart")
    one_line(["labels in all splits", "train/good"], load, tmp_path / "pets" / "dog", normal=0)
    np.savez(tmp_path / "half.npz", x_train=pixels(30, 4, 4), y_train=np.arange(30) % 2, x_test=pixels(9, 4, 4))
    one_line(["labels in all splits"], load, tmp_path / "half.npz", normal=0)
    np.savez(tmp_path / "rare.npz", x_train=pixels(30, 4, 4), y_train=np.arange(30) % 3, x_test=pixels(9, 4, 4),
             y_test=np.arange(9) % 2)
    one_line(["none of 2 in test"], load, tmp_path / "rare.npz", normal=0)
    one_line(["view='one_class'", "--normal"], one_class, load("digits", normal=3), normal=3)
    one_line(["view='paired'"], one_class, load("digits", pairs="edges"), anomalous=3)
    for other in ({"pairs": "edges"}, {"domains": "3,8"}, {"anomalous": 4}):
        (key, value), = other.items()
        one_line([f"{key}={value!r}", "normal='3'"], load, "digits", normal="3", **other)
    one_line(["'digits'", "view='images'", "--normal 3"], digits.anomalous, "test")


def test_streams(digits):
    data = load("digits", normal="0,3")
    batch = next(iter(data.train(16, seed=1)))
    assert batch.shape == (16, 8, 8, 1) and batch.dtype == tf.float32
    known = set(multiset(data.images("train")))
    assert all(image.tobytes() in known for image in np.rint(batch.numpy() * 255).astype(np.uint8))
    found = list(data.batches("test", 100, views.labelled))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in found]), data.labels("test"))
    one_line(["labels"], data.train, 16, view=views.labelled)
    one_line(["pairs="], data.sources, "test")


def test_the_extractor_of_normal_images_has_its_own_file(digits):
    names = set()
    for data in (digits, *(load("digits", **{side: wanted}) for side in ("normal", "anomalous") for wanted in ("3", "4"))):
        task = extractor_training.task_of(data)
        assert task.name == ("classifier" if data is digits else "rotations")
        names.add(extractor_training.cache_name(data, task, 0, 1))
    assert len(names) == 5


def test_a_category(tmp_path):
    known, masks = write_category(tmp_path / "bottle")
    data = load(tmp_path / "bottle")
    assert data.spec.view == "one_class" and data.spec.name == "bottle" and data.spec.num_classes is None
    assert data.spec.class_names == ("good", "bent", "scratch") and data.spec.image_shape == (6, 8, 3)
    assert data.spec.sizes == {"train": 18, "validation": 2, "test": 7} and set(data.source) == {
        "name", "image_size", "data_dir"}
    assert multiset(data.images("train"), data.images("validation")) == multiset(known["train"])
    for label, kind in enumerate(data.spec.class_names):
        assert multiset(data.images("test")[data.labels("test") == label]) == multiset(known[kind])
    assert data.labels("train") is None and data.masks("train") is None and data.masks("validation") is None
    found = data.masks("test")
    assert found.shape == (7, 6, 8) and found.dtype == bool and not found.flags.writeable
    for image, mask in zip(data.images("test"), found, strict=True):
        np.testing.assert_array_equal(mask, masks.get(image.tobytes(), np.zeros((6, 8))) > 0)
    np.testing.assert_array_equal(found.any((1, 2)), data.anomalous("test"))
    assert same(data, again(data)) and next(iter(data.train(4))).shape == (4, 6, 8, 3)


@pytest.mark.parametrize("size", [4, 12])
def test_masks_are_resized_with_the_images(tmp_path, size):
    write_category(tmp_path, (8, 8))
    Image.fromarray(pixels(9, 7)).save(tmp_path / "train" / "good" / "other.tif")
    one_line(["9x7 (1)", "--image-size"], load, tmp_path)
    data, mask = load(tmp_path, image_size=size), np.zeros((2, 8, 8), bool)
    assert data.spec.image_shape == (size, size, 1) and data.spec.sizes["train"] == 19 and same(data, again(data))
    mask[0, :2, 3:5] = mask[1, 1:3, 3:5] = True
    expected = sorted(resize_mask(m, (size, size)).tobytes() for m in mask)
    for label in (1, 2):
        assert multiset(data.masks("test")[data.labels("test") == label]) == expected
    assert not data.masks("test")[~data.anomalous("test")].any()


def test_resized_masks_keep_thin_defects():
    mask = np.zeros((64, 96), bool)
    mask[17, 5:80] = True
    small = resize_mask(mask, (8, 8))
    # Blocks of 8x12 pixels: row 2, columns 0 to 6.
    np.testing.assert_array_equal(np.argwhere(small), [(2, column) for column in range(7)])
    np.testing.assert_array_equal(resize_mask(np.eye(2, dtype=bool), (4, 4)), np.eye(2).repeat(2, 0).repeat(2, 1))
    for size in (7, 30, 61):
        for row, column in np.random.default_rng(0).integers(0, 64, (20, 2)):
            assert resize_mask(np.arange(64 * 96).reshape(64, 96) == row * 96 + column, (size, size)).sum() == 1


def test_a_category_with_less(tmp_path):
    train = write_images(tmp_path / "train" / "good", 30, (6, 6))
    data = load(tmp_path)
    assert data.spec.sizes == {"train": 25, "validation": 2, "test": 3} and data.spec.class_names == ("good",)
    assert multiset(*(data.images(split) for split in SPLITS)) == multiset(train)
    assert list(data.labels("test")) == [0, 0, 0] and data.masks("test") is None and same(data, again(data))
    held = write_images(tmp_path / "validation" / "good", 4, (6, 6))
    write_images(tmp_path / "test" / "hole", 2, (6, 6, 3))
    data = load(tmp_path)
    assert data.spec.sizes == {"train": 30, "validation": 4, "test": 2} and data.spec.image_shape == (6, 6, 3)
    assert multiset(data.images("validation")[..., 0]) == multiset(held) and list(data.labels("test")) == [1, 1]
    assert data.spec.class_names == ("good", "hole") and data.masks("test") is None and data.anomalous("test").all()


def test_colours_of_a_mask_count(tmp_path):
    write_category(tmp_path, (6, 6), ("a", "b"))
    blue = np.zeros((6, 6, 3), np.uint8)
    blue[2, 3, 2] = 1
    write_mask(tmp_path / "ground_truth" / "a", "0_mask", blue)
    Image.fromarray(blue.any(-1)).save(tmp_path / "ground_truth" / "a" / "1_mask.png")
    data = load(tmp_path)
    np.testing.assert_array_equal(data.masks("test")[data.labels("test") == 1], [blue.any(-1)] * 2)


@pytest.mark.parametrize(("broken", "words"), [
    (lambda f: (f / "ground_truth" / "bent" / "1_mask.png").unlink(), ["1.png", "1_mask.png", "received none"]),
    (lambda f: write_mask(f / "ground_truth" / "bent", "1_mask", np.zeros((8, 6), np.uint8)), ["1_mask.png", "6x8", "8x6"]),
    (lambda f: (f / "ground_truth" / "bent" / "1_mask.png").write_bytes(b"no image"), ["1_mask.png", "corrupt"]),
    (lambda f: (f / "test" / "bent" / "1.png").write_bytes(b"no image"), ["1.png", "cannot be read"]),
    (lambda f: write_images(f / "validation" / "bad", 2), ["validation/good alone", "received bad"]),
    (lambda f: write_images(f / "validation", 2), ["validation/good alone", "directly"]),
    (lambda f: write_images(f / "train", 2, (6, 8, 3)), ["directly", "subfolder"]),
    (lambda f: [path.unlink() for path in (f / "train" / "good").iterdir()], ["train/good", "no images"])])
def test_broken_categories(tmp_path, broken, words):
    write_category(tmp_path)
    broken(tmp_path)
    one_line(words, load, tmp_path)


def test_other_folders_of_a_category(tmp_path, capsys):
    write_category(tmp_path)
    (tmp_path / "train" / "docs").mkdir()
    assert load(tmp_path).spec.view == "one_class" and capsys.readouterr().err == ""
    write_images(tmp_path / "val" / "good", 2)
    load(tmp_path)
    told = capsys.readouterr().err
    assert told.startswith("passed over: images in val of ") and told.count("\n") == 1


def test_categories_are_loaded_one_by_one_and_as_they_are(tmp_path):
    for name in ("bottle", "cable"):
        write_category(tmp_path / name)
    one_line(["one category", "bottle, cable", str(tmp_path / "bottle")], load, tmp_path)
    one_line(["pairs", "defects"], load, tmp_path / "bottle", pairs="edges")
    one_line(["domains", "defects"], load, tmp_path / "bottle", domains="good,bent")
    one_line(["'bottle'", "view='one_class'"], load, tmp_path / "bottle", normal="good")


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_classes_to_train_on_are_no_category(tmp_path, split):
    for label in ("good", "bad"):
        for root in {"train", split}:
            write_images(tmp_path / root / label, 20)
    data = load(tmp_path)
    assert data.spec.view == "images" and data.spec.class_names == ("bad", "good")
    assert load(tmp_path, normal="good").spec.class_names == ("good", "bad")


@pytest.mark.parametrize(("view", "labels", "masks"), [
    ("one_class", {"train": 3, "test": 3}, None), ("one_class", {}, None), ("images", {"test": 3}, {"test": (3, 2, 2)}),
    ("one_class", {"test": 3}, {"test": (2, 2, 2)}), ("one_class", {"test": 3}, {"tests": (3, 2, 2)}),
    ("one_class", {"test": 3}, {"test": (3, 2, 2, 1)})])
def test_labels_and_masks_must_fit(view, labels, masks):
    arrays = {split: (np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, np.int64) if split in labels else None)
              for split in ("train", "test")}
    with pytest.raises(ValueError, match="Dataset expects .* received"):
        Dataset(DataSpec("a", (2, 2, 1), view=view), arrays,
                masks=masks and {split: np.zeros(shape, bool) for split, shape in masks.items()})


def test_masks_are_bool():
    arrays = {"train": (np.zeros((3, 2, 2, 1), np.uint8), None), "test": (np.zeros((3, 2, 2, 1), np.uint8), np.arange(3))}
    spec = DataSpec("a", (2, 2, 1), class_names=("good", "bad", "worse"), view="one_class")
    with pytest.raises(ValueError, match="uint8"):
        Dataset(spec, arrays, masks={"test": np.zeros((3, 2, 2), np.uint8)})
    one_line(["'tests'"], Dataset(spec, arrays).masks, "tests")
    assert list(Dataset(spec, arrays).anomalous("test")) == [False, True, True]

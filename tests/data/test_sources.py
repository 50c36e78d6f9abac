import os
import pathlib
import shutil

import numpy as np
import pytest
from helpers import again, multiset, one_line, pixels, same, write_images
from PIL import Image

from tfgen.data import load, pack, prepare


def test_digits_are_whole_fixed_and_eight_bit():
    from sklearn.datasets import load_digits

    data = load("digits")
    assert data.spec.sizes == {"train": 1347, "validation": 200, "test": 250} and data.spec.num_classes == 10
    found = np.concatenate([data.images(s) for s in data.spec.sizes]).reshape(1797, 64)
    expected = np.array([[round(v * 255 / 16) for v in row] for row in load_digits().data.tolist()], np.uint8)
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected))
    np.testing.assert_array_equal(data.images("test"), load("digits").images("test"))
    assert len(np.unique(data.labels("test"))) == 10
    assert load("digits", image_size=16).images("train").shape == (1347, 16, 16, 1)


@pytest.mark.parametrize("ending", [".png", ".bmp"])
def test_class_folders(tmp_path, ending):
    known = {array.tobytes(): label for label in ("cat", "dog")
             for array in write_images(tmp_path / label, 20, ending=ending)}
    (tmp_path / "cat" / "notes.txt").write_text("passed over")
    (tmp_path / ".cache").mkdir()
    data = load(tmp_path)
    assert data.spec.class_names == ("cat", "dog") and data.spec.image_shape == (6, 6, 1)
    assert data.spec.sizes == {"train": 33, "validation": 3, "test": 4}
    for split in data.spec.sizes:
        for image, label in zip(data.images(split), data.labels(split), strict=True):
            assert known.pop(image.tobytes()) == data.spec.class_names[label]
    assert not known


@pytest.mark.parametrize(("ending", "shape"), [(".png", (6, 6, 3)), (".png", (6, 6)), (".bmp", (6, 6, 3))])
def test_split_folders(tmp_path, ending, shape):
    known = {}
    for split, count in (("train", 20), ("test", 4)):
        for label in ("a", "b"):
            known |= {x.tobytes(): (split, label) for x in write_images(tmp_path / split / label, count, shape, ending)}
    data = load(tmp_path)
    assert data.spec.sizes == {"train": 36, "validation": 4, "test": 8}
    assert data.spec.image_shape == (6, 6, 3 if len(shape) == 3 else 1) and data.spec.class_names == ("a", "b")
    for split in data.spec.sizes:
        for image, label in zip(data.images(split), data.labels(split), strict=True):
            assert known.pop(image.tobytes()) == ("test" if split == "test" else "train", data.spec.class_names[label])
    assert load(tmp_path, image_size=4).spec.image_shape[:2] == (4, 4)


def test_flat_folder_and_image_size(tmp_path):
    write_images(tmp_path, 10, (6, 6, 3))
    data = load(tmp_path)
    assert data.labels("train") is None and data.spec.sizes == {"train": 8, "validation": 1, "test": 1}
    Image.fromarray(pixels(9, 7, 3)).save(tmp_path / "other.png")
    one_line(["6x6 (10)", "9x7 (1)", "--image-size N"], load, tmp_path)
    assert load(tmp_path, image_size=5).spec.image_shape == (5, 5, 3)
    one_line(["image_size"], load, tmp_path, image_size=0)


def test_folder_errors(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    one_line(["received none"], load, empty)
    both = tmp_path / "both"
    write_images(both, 3)
    write_images(both / "cat", 3)
    one_line(["3 directly and 3"], load, both)
    no_train = tmp_path / "no_train"
    write_images(no_train / "test" / "cat", 3)
    one_line(["train"], load, no_train)
    for content, name in [(b"no image", "text.png"), (None, "cut.png"), ("32", "deep.tif")]:
        folder = tmp_path / name.split(".")[0]
        for split in ("train", "test"):
            write_images(folder / split / "cat", 6, (40, 40))
        broken = folder / "train" / "cat" / name
        if content == "32":
            Image.fromarray(np.zeros((40, 40), np.float32)).save(broken)
        else:
            whole = (folder / "train" / "cat" / "0.png").read_bytes()
            broken.write_bytes(content or whole[:len(whole) // 2])
        one_line([name], load, folder)


@pytest.mark.parametrize("beside", ["docs/readme.txt", "empty", "packed"])
def test_splits_stay_splits_beside_folders_without_images(tmp_path, beside):
    """They became classes, and images of test were trained on."""
    for split in ("Train", "test"):
        write_images(tmp_path / split, 20)
    if beside == "packed":
        pack(tmp_path, tmp_path / "packed")
    else:
        (tmp_path / beside).mkdir(parents=True)
        (tmp_path / beside / "readme.txt").write_text("no image")
    data = load(tmp_path)
    assert data.spec.num_classes is None and data.spec.sizes == {"train": 18, "validation": 2, "test": 20}
    write_images(tmp_path / "eval" / "deep", 2)
    one_line(["train and (if any) validation and test", "in Train, eval, test"], load, tmp_path)


def test_classes_beside_folders_without_images(tmp_path, capsys):
    write_images(tmp_path / "train" / "cat", 20)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "0.xml").write_text("a box")
    assert load(tmp_path).spec.class_names == ("cat",)
    told = capsys.readouterr().err
    assert told.startswith("passed over: annotations of ") and "without images" in told and told.count("\n") == 1
    write_images(tmp_path, 1)
    one_line(["subfolder train", "received 1 directly"], load, tmp_path)
    # Without a split to train on, they are names of classes.
    for name in ("valid", "invalid"):
        write_images(tmp_path / "checks" / name, 10)
    assert load(tmp_path / "checks").spec.class_names == ("invalid", "valid")


def test_a_class_called_train(tmp_path, capsys):
    """A vehicle, as in CIFAR-100: without another split, and beside folders that hold their images as it does."""
    for name in ("bus", "car", "train"):
        write_images(tmp_path / name, 20)
    data = load(tmp_path)
    assert data.spec.class_names == ("bus", "car", "train") and sum(data.spec.sizes.values()) == 60
    told = capsys.readouterr().err
    assert told.startswith("train is a class of") and told.count("\n") == 1
    for other in ("test/a.png", "val/car/a.png", "eval/a.png", "train/fast/a.png", "ship/deep/a.png"):
        path = tmp_path / other
        path.parent.mkdir(parents=True)
        shutil.copy(tmp_path / "car" / "0.png", path)
        one_line(["train and (if any) validation and test", "all hold their images directly", "found images in bus, car"],
                 load, tmp_path)
        shutil.rmtree(tmp_path / pathlib.Path(other).parts[0])
        write_images(tmp_path / "train", 20)
    shutil.rmtree(tmp_path / "train")
    write_images(tmp_path / "train" / "fast", 20)
    one_line(["train and (if any) validation and test", "found images in bus, car, train"], load, tmp_path)
    # One other folder may be anything, such as masks.
    write_images(tmp_path / "two" / "train", 20)
    write_images(tmp_path / "two" / "masks", 20)
    one_line(["found images in masks, train"], load, tmp_path / "two")
    # An empty test is a split, too, and train alone one to train on.
    (tmp_path / "alone" / "test").mkdir(parents=True)
    write_images(tmp_path / "alone" / "train", 20)
    write_images(tmp_path / "alone" / "bus", 20)
    one_line(["found images in bus, test, train"], load, tmp_path / "alone")


@pytest.mark.parametrize("others", [
    ("test1", "test2"), ("train_masks", "images"), ("val_small", "extra"), ("Devset", "more"),
    ("evaluation", "more"), ("holdout2", "more"), ("image_labels", "more"), ("annotations", "images"),
    ("SegmentationClass", "images"), ("ground_truth", "images"), ("bboxes", "images")])
def test_splits_and_masks_by_other_names_are_no_classes_beside_train(tmp_path, others):
    """Their images would be trained on."""
    for name in ("train", *others):
        write_images(tmp_path / name, 2)
    one_line(["no other is named like a split, masks, labels or annotations, found images in", others[0]], load, tmp_path)


def test_classes_whose_names_begin_like_a_split(tmp_path):
    for name in ("train", "trainer", "valley", "device"):
        write_images(tmp_path / name, 12)
    assert load(tmp_path).spec.class_names == ("device", "train", "trainer", "valley")


def test_images_that_lie_too_deep_are_told(tmp_path, capsys):
    """A folder of which all do is refused, as a class would be missing."""
    known = write_images(tmp_path / "set" / "a", 12)
    write_images(tmp_path / "set" / "a" / "deep" / "deeper", 5)
    assert load(tmp_path / "set").spec.sizes == {"train": 10, "validation": 1, "test": 1} and len(known) == 12
    told = capsys.readouterr().err
    assert told.startswith("passed over: 5 images in subfolders") and "a/deep/deeper/" in told and told.count("\n") == 1
    write_images(tmp_path / "set" / "b" / "sub", 12)
    one_line(["directly in", "set/b'", "received 12", "b/sub/"], load, tmp_path / "set")
    for name in ("trainA", "trainB"):
        write_images(tmp_path / "two" / name, 12)
    write_images(tmp_path / "two" / "trainB" / "deep", 2)
    load(tmp_path / "two")
    assert "passed over: 2 images" in capsys.readouterr().err
    write_images(tmp_path / "two" / "testA" / "deep", 2)
    one_line(["directly in", "testA'", "received 2"], load, tmp_path / "two")


def test_unknown_names(tmp_path):
    one_line(["'digits'"], load, "digts", data_dir=tmp_path)
    one_line(["did you mean 'fashion_mnist'"], load, "fasion_mnist", data_dir=tmp_path)
    one_line(["tfgen data prepare kmnist --from DIR"], load, "kmnist", data_dir=tmp_path)
    one_line(["tfds build cifar10"], load, "cifar10", data_dir=tmp_path)
    one_line(["tfds build emnist/letters"], load, "emnist/letters", data_dir=tmp_path)
    one_line(["existing file"], load, "./gone.npz", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["edges", "low_resolution:4", "low_resolution", "erased:0.5"])
def test_pairs_of_any_source(name):
    plain, data = load("digits"), load("digits", pairs=name)
    assert data.spec.view == "paired" and data.spec.source_shape == (8, 8, 1) and data.spec.name == "digits"
    assert set(plain.source) == {"name", "image_size", "data_dir"} and data.source["pairs"].startswith(name)
    for split in plain.spec.sizes:
        np.testing.assert_array_equal(data.images(split), plain.images(split))
        np.testing.assert_array_equal(data.labels(split), plain.labels(split))
    assert same(data, again(data))


def test_pairs_of_colour(tmp_path):
    np.savez(tmp_path / "a.npz", x=pixels(30, 6, 4, 3))
    data = load(tmp_path / "a.npz", pairs="grey")
    assert data.spec.image_shape == (6, 4, 3) and data.spec.source_shape == (6, 4, 1)
    expected = data.images("test") @ np.array([0.299, 0.587, 0.114])
    assert np.abs(data.sources("test")[..., 0] - expected).max() <= 0.51
    one_line(["'grey'", "received 1", "edges"], load, "digits", pairs="grey")
    one_line(["edgs", "did you mean 'edges'"], load, "digits", pairs="edgs")
    one_line(["side_by_sied", "did you mean 'side_by_side'"], load, "digits", pairs="side_by_sied")
    one_line(["pairs='edges'", "domains='3,8'"], load, "digits", pairs="edges", domains="3,8")


def test_side_by_side_folders(tmp_path):
    known = {split: write_images(tmp_path / split, count, (6, 10, 3)) for split, count in (("train", 12), ("val", 3))}
    data = load(tmp_path, pairs="side_by_side")
    assert data.spec.view == "paired" and data.spec.image_shape == data.spec.source_shape == (6, 5, 3)
    assert data.spec.sizes == {"train": 11, "validation": 3, "test": 1} and data.labels("train") is None
    whole = [np.concatenate([data.sources(s), data.images(s)], 2) for s in ("train", "test")]
    assert multiset(*whole) == multiset(known["train"])
    np.testing.assert_array_equal(data.sources("validation"), np.stack(known["val"])[:, :, :5])
    turned = load(tmp_path, pairs="side_by_side_reversed")
    assert same(data, again(data)) and same(turned, again(turned))
    for split in data.spec.sizes:
        np.testing.assert_array_equal(turned.images(split), data.sources(split))
        np.testing.assert_array_equal(turned.sources(split), data.images(split))


def test_side_by_side_halves_are_resized_one_by_one(tmp_path):
    halves = np.zeros((8, 24, 3), np.uint8)
    halves[:, 12:] = 200
    for i in range(10):
        Image.fromarray(halves[:, 2 * (i % 2):24 - 2 * (i % 2)]).save(tmp_path / f"{i}.png")
    one_line(["8x24 (5)", "8x20 (5)", "--image-size"], load, tmp_path, pairs="side_by_side")
    data = load(tmp_path, image_size=5, pairs="side_by_side")
    assert data.spec.image_shape == (5, 5, 3) and same(data, again(data))
    # Nothing of one half reaches into the other.
    assert (data.sources("train") == 0).all() and (data.images("train") == 200).all()
    Image.fromarray(halves[:, 1:]).save(tmp_path / "odd.png")
    one_line(["equal width", "23", "--pairs"], load, tmp_path, image_size=5, pairs="side_by_side")


def test_side_by_side_with_classes_and_of_arrays(tmp_path):
    for label in ("cat", "dog"):
        for split in ("train", "test"):
            write_images(tmp_path / "folder" / split / label, 6, (6, 10))
    data = load(tmp_path / "folder", pairs="side_by_side")
    assert data.spec.class_names == ("cat", "dog") and data.spec.source_shape == (6, 5, 1) and data.spec.sizes["test"] == 12
    x = pixels(20, 4, 6)
    np.savez(tmp_path / "a.npz", x=x)
    data = load(tmp_path / "a.npz", pairs="side_by_side")
    assert data.spec.image_shape == (4, 3, 1)
    assert multiset(*[data.sources(s) for s in data.spec.sizes]) == multiset(x[:, :, :3])
    np.savez(tmp_path / "odd.npz", x=pixels(20, 4, 5))
    one_line(["equal width", "5"], load, tmp_path / "odd.npz", pairs="side_by_side")


@pytest.mark.slow
@pytest.mark.skipif("TFGEN_FASHION_MNIST" not in os.environ,
                    reason="set TFGEN_FASHION_MNIST to the folder of the four Fashion-MNIST files")
def test_real_fashion_mnist(tmp_path):
    source = os.environ["TFGEN_FASHION_MNIST"]
    prepare("fashion_mnist", source, data_dir=tmp_path)
    data, files = load("fashion_mnist", data_dir=tmp_path), load(source)
    assert data.spec.sizes == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert data.spec.class_names[9] == "Ankle boot"
    np.testing.assert_array_equal(data.labels("test").sum(), files.labels("test").sum())
    for splits in (("train", "validation"), ("test",)):
        found, expected = (sorted(bytes(image) for s in splits for image in d.images(s)) for d in (data, files))
        assert found == expected

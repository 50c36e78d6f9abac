import gzip
import os

import numpy as np
import pytest
from helpers import again, multiset, one_line, pixels, same, write_images
from PIL import Image

from tfgen.data import available, load, prepare
from tfgen.data.readers.arrays import IDX_NAMES, read_idx


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_idx(folder, counts=(60, 20), side=28, end=".gz"):
    """The four files of an MNIST-like dataset; returns {split: (images, labels)}."""
    folder.mkdir(exist_ok=True)
    arrays = {}
    for (split, names), count in zip(IDX_NAMES.items(), counts, strict=True):
        arrays[split] = pixels(count, side, side), (np.arange(count) % 10).astype(np.uint8)
        for name, array in zip(names, arrays[split], strict=True):
            data = idx_bytes(array)
            (folder / (name + end)).write_bytes(gzip.compress(data) if end else data)
    return arrays


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
    (tmp_path / "a.txt").write_text("hello")
    one_line(["a.txt"], load, tmp_path / "a.txt")
    one_line(["check the path"], load, tmp_path / "missing")


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


def test_unknown_names(tmp_path):
    one_line(["'digits'"], load, "digts", data_dir=tmp_path)
    one_line(["did you mean 'fashion_mnist'"], load, "fasion_mnist", data_dir=tmp_path)
    one_line(["tfgen data prepare kmnist --from DIR"], load, "kmnist", data_dir=tmp_path)
    one_line(["tfds build cifar10"], load, "cifar10", data_dir=tmp_path)
    one_line(["tfds build emnist/letters"], load, "emnist/letters", data_dir=tmp_path)
    one_line(["existing file"], load, "./gone.npz", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_mnist(monkeypatch):
    from tensorflow_datasets.image_classification import mnist

    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 60)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 20)
    return mnist


@pytest.mark.parametrize("end", [".gz", ""])
def test_prepare_then_load(tmp_path, small_mnist, capsys, end):
    arrays = write_idx(tmp_path / "from", end=end)
    store = tmp_path / "store"
    url = small_mnist.KMNIST.URL
    path = prepare("kmnist", tmp_path / "from", data_dir=store)
    assert path.is_dir() and small_mnist.KMNIST.URL == url
    assert [p.name for p in store.iterdir()] == ["kmnist"] and not list(store.rglob("*incomplete*"))
    assert prepare("kmnist", tmp_path / "no such folder", data_dir=store) == path
    assert [row[:2] for row in available(store)] == [("digits", "built in"), ("kmnist", str(path))]
    data = load("kmnist", data_dir=store)
    assert data.spec.sizes == {"train": 54, "validation": 6, "test": 20} and data.spec.class_names[0] == "o"
    known = {image.tobytes(): label for image, label in zip(*arrays["test"], strict=True)}
    for image, label in zip(data.images("test"), data.labels("test"), strict=True):
        assert known.pop(image.tobytes()) == label
    assert load("kmnist", image_size=14, data_dir=store).spec.image_shape == (14, 14, 1)
    assert capsys.readouterr().out == ""
    for record in path.glob("*-test.tfrecord*"):
        record.write_bytes(record.read_bytes()[:-9])
    one_line(["kmnist", "prepare it again"], load, "kmnist", data_dir=store)


def test_interrupted_prepare_leaves_nothing(tmp_path, small_mnist, monkeypatch):
    write_idx(tmp_path / "from")
    url = small_mnist.MNIST.URL

    def interrupted(self, num_examples, data_path, label_path):
        yield 0, {"image": np.zeros((28, 28, 1), np.uint8), "label": 0}
        raise KeyboardInterrupt

    monkeypatch.setattr(small_mnist.MNIST, "_generate_examples", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("fashion_mnist", tmp_path / "from", data_dir=tmp_path / "store")
    assert not [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    assert small_mnist.MNIST.URL == url and "fashion" in small_mnist.FashionMNIST.URL
    one_line(["tfgen data prepare"], load, "fashion_mnist", data_dir=tmp_path / "store")


def test_prepare_checks_the_files_first(tmp_path):
    store = tmp_path / "store"
    one_line(["tfds build cifar10"], prepare, "cifar10", tmp_path, data_dir=store)
    one_line(["does not exist"], prepare, "mnist", tmp_path / "gone", data_dir=store)
    one_line(["missing train-images"], prepare, "mnist", tmp_path, data_dir=store)
    write_idx(tmp_path / "from")
    one_line(["60000 train images", "received 60"], prepare, "mnist", tmp_path / "from", data_dir=store)
    file = tmp_path / "from" / "t10k-images-idx3-ubyte.gz"
    write_idx(tmp_path / "from", (60000, 20), 1)
    one_line(["28x28", "1x1"], prepare, "mnist", tmp_path / "from", data_dir=store)
    file.write_bytes(file.read_bytes()[:-20])
    write_idx_train_only = gzip.compress(idx_bytes(np.zeros((60000, 28, 28), np.uint8)), 1)
    (tmp_path / "from" / "train-images-idx3-ubyte.gz").write_bytes(write_idx_train_only)
    one_line([file.name], prepare, "mnist", tmp_path / "from", data_dir=store)
    assert not store.exists()


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


@pytest.mark.parametrize("domains", ["3,8", ("3", "8"), [3, 8], " 3 , 8 "])
def test_two_classes_as_domains(domains):
    whole, data = load("digits"), load("digits", domains=domains)
    spec = data.spec
    assert spec.view == "unpaired" and spec.name == "digits: 3 -> 8" and spec.source_shape == (8, 8, 1)
    assert spec.num_classes is None and spec.class_names == () and data.labels("train") is None
    for split in whole.spec.sizes:
        for found, label in ((data.sources(split), 3), (data.images(split), 8)):
            np.testing.assert_array_equal(found, whole.images(split)[whole.labels(split) == label])
        assert spec.sizes[split] == max(len(data.sources(split)), len(data.images(split)))
    assert data.source["domains"] == ["3", "8"] and same(data, again(data))


def test_domains_by_name_and_number_and_their_errors(tmp_path):
    for label, count in (("Ankle boot", 30), ("Sandal", 20), ("bag", 1)):
        write_images(tmp_path / "a" / label, count, (6, 6, 3))
    folder = tmp_path / "a"
    data = load(folder, domains="sandal, ANKLE BOOT")
    assert data.spec.name == "a: Sandal -> Ankle boot" and same(data, load(folder, domains=(1, 0)))
    one_line(["'Sandals'", "did you mean 'Sandal'", "'bag'"], load, folder, domains="Sandals,bag")
    one_line(["received '3'", "0 to 2"], load, folder, domains="0,3")
    one_line(["'Sandal' twice"], load, folder, domains="Sandal,1")
    one_line(["none of 'bag'"], load, folder, domains="Sandal,bag")
    for domains in ("Sandal", "Sandal,bag,bag", ("Sandal",), 3, ""):
        one_line(["two classes"], load, folder, domains=domains)
    write_images(tmp_path / "flat", 10)
    one_line(["labels", "trainA"], load, tmp_path / "flat", domains="0,1")
    np.savez(tmp_path / "half.npz", x_train=pixels(30, 4, 4), y_train=np.arange(30) % 2, x_test=pixels(9, 4, 4))
    one_line(["labels in all splits"], load, tmp_path / "half.npz", domains="0,1")


def test_folders_of_two_domains(tmp_path):
    known = {name: write_images(tmp_path / name, count, shape) for name, count, shape in (
        ("trainA", 30, (6, 6)), ("trainB", 21, (6, 6, 3)), ("testA", 4, (6, 6)), ("testB", 7, (6, 6, 3)),
        ("valB", 2, (6, 6, 3)))}
    write_images(tmp_path / "elsewhere", 3)
    data = load(tmp_path)
    assert data.spec.view == "unpaired" and data.spec.image_shape == (6, 6, 3) and data.spec.source_shape == (6, 6, 1)
    assert data.spec.sizes == {"train": 27, "validation": 3, "test": 7} and data.labels("train") is None
    assert multiset(data.sources("train"), data.sources("validation")) == multiset(known["trainA"])
    for found, name in ((data.images("train"), "trainB"), (data.images("validation"), "valB"),
                        (data.images("test"), "testB"), (data.sources("test"), "testA")):
        assert multiset(found) == multiset(known[name])
    assert set(data.source) == {"name", "image_size", "data_dir"} and same(data, again(data))
    one_line(["pairs", "A and B"], load, tmp_path, pairs="edges")
    one_line(["domains", "A and B"], load, tmp_path, domains="0,1")
    one_line(["pairs", "A and B"], load, tmp_path, pairs="side_by_side")
    Image.fromarray(pixels(9, 7)).save(tmp_path / "testA" / "other.png")
    one_line(["9x7 (1)", "--image-size"], load, tmp_path)
    small = load(tmp_path, image_size=5)
    assert small.spec.image_shape == (5, 5, 3) and small.spec.source_shape == (5, 5, 1) and same(small, again(small))


def test_domain_folders_that_do_not_fit(tmp_path):
    write_images(tmp_path / "trainA", 10)
    one_line(["missing trainB", "beside trainA"], load, tmp_path)
    (tmp_path / "trainB").mkdir()
    one_line(["trainB", "received none"], load, tmp_path)
    write_images(tmp_path / "trainB", 10, (6, 8))
    one_line(["6x6 (1)", "6x8 (1)", "--image-size"], load, tmp_path)
    (tmp_path / "train_A").mkdir()
    one_line(["trainA", "train_A", "into one"], load, tmp_path)


def test_prepared_data_of_two_domains(tmp_path):
    import tensorflow_datasets as tfds

    known = {name: pixels(count, 6, 6, 3) for name, count in (("trainA", 20), ("trainB", 31), ("testA", 5), ("testB", 2))}

    class CycleTiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="a2b")]

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3)),
                        "label": tfds.features.ClassLabel(names=["A", "B"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {name: self._generate_examples(name) for name in known}

        def _generate_examples(self, name):
            for i, image in enumerate(known[name]):
                yield i, {"image": image, "label": name[-1]}

    CycleTiny(data_dir=str(tmp_path), config="a2b").download_and_prepare()
    data = load("cycle_tiny/a2b", data_dir=tmp_path)
    assert data.spec.view == "unpaired" and data.spec.image_shape == data.spec.source_shape == (6, 6, 3)
    assert data.spec.sizes == {"train": 28, "validation": 3, "test": 5} and data.spec.num_classes is None
    assert multiset(data.sources("train"), data.sources("validation")) == multiset(known["trainA"])
    assert multiset(data.images("test")) == multiset(known["testB"]) and same(data, again(data))
    assert load("cycle_tiny/a2b", image_size=4, data_dir=tmp_path).spec.source_shape == (4, 4, 3)
    one_line(["domains", "A and B"], load, "cycle_tiny/a2b", data_dir=tmp_path, domains="A,B")


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

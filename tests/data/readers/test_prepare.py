"""TFDS data sets built from IDX files."""

import gzip

import numpy as np
import pytest
from helpers import idx_bytes, one_line, write_idx

from tfgen.data import available, load, prepare


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
    assert [row[:2] for row in available(store)] == [
        *((name, "built in") for name in ("digits", "iris", "wine", "breast_cancer")), ("kmnist", str(path))]
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

"""Unpaired data: two classes, or folders of two domains."""


import numpy as np
import pytest
from helpers import again, multiset, one_line, pixels, same, write_images
from PIL import Image

from tfgen.data import load


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

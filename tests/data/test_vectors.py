"""Vectors and windows of a series as data: splits, scaling, what is refused."""

import dataclasses

import numpy as np
import pytest

from tfgen import data
from tfgen.data.vectors import windows
from tfgen.errors import UserError

GENERATOR = np.random.default_rng(0)
ROWS = (GENERATOR.normal(size=(50, 3)) * [1.0, 100.0, 1e-3] + [0.0, -7.0, 5.0]).astype("float32")


def test_rows_are_given_as_they_are():
    """In batches and as arrays; the spec holds the moments of the training split alone."""
    found = data.vectors(ROWS, np.arange(50) % 2, "made", class_names=("a", "b"))
    assert found.rows == found.spec.kind == "vectors" and found.spec.image_shape == (3,)
    assert found.spec.sizes == {"train": 41, "validation": 4, "test": 5} and found.spec.class_names == ("a", "b")
    train = found.images("train")
    assert train.dtype == np.float32 and set(map(tuple, train)) < set(map(tuple, ROWS))
    np.testing.assert_allclose(found.spec.location, train.astype(float).mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.spec.scale, train.astype(float).std(0), rtol=1e-6)
    batches = [batch.numpy() for batch in found.batches("test", 2)]
    np.testing.assert_array_equal(np.concatenate(batches), found.images("test"))
    first = next(iter(found.train(8, seed=3))).numpy()
    assert first.shape == (8, 3) and set(map(tuple, first)) <= set(map(tuple, train))
    assert data.DataSpec.from_json(found.spec.to_json()) == found.spec


def test_a_constant_column_has_scale_1():
    times = 1.7e9 + 1000.0 * np.arange(30)
    spec = data.vectors(np.stack([np.arange(30.0), np.full(30, 1e6 + 0.1), times], 1)).spec
    assert spec.scale[1] == 1.0 and spec.scale[0] > 1 and spec.scale[2] > 1000


def test_given_splits_stay():
    found = data.vectors({"train": ROWS[:30], "test": ROWS[30:]}, {"test": np.ones(20, int)})
    assert found.spec.sizes == {"train": 27, "validation": 3, "test": 20} and found.labels("train") is None


def test_one_class_scales_by_the_normal_rows():
    values, labels = np.concatenate([ROWS, ROWS + 1000]), np.repeat([0, 1], 50)
    found = data.one_class(data.vectors(values, labels), normal=0)
    assert found.spec.view == "one_class" and found.spec.vectors
    np.testing.assert_allclose(found.spec.location, found.images("train").astype(float).mean(0), rtol=1e-6)
    assert max(found.spec.location) < 100 and found.anomalous("test").any()


def test_windows_of_a_series_by_hand():
    series, labels = np.arange(14.0, dtype="float32").reshape(7, 2), np.array([0, 0, 0, 0, 2, 0, 1])
    made, tops = windows("made", "train", series, labels, 3, 2)
    np.testing.assert_array_equal(made, [series[0:3], series[2:5], series[4:7]])
    assert tops.tolist() == [0, 2, 2]


@pytest.mark.parametrize("labels, names, options", [
    (["fault", "normal"], True, {"normal": "normal"}), (["fault", "normal"], True, {"anomalous": "fault"}),
    ([1, 0], False, {"normal": 0}), ([0, 1], False, {"normal": 1}), ([1, 3], False, {"anomalous": 1})])
def test_a_window_with_one_anomalous_time_is_anomalous(labels, names, options):
    """Whatever the numbers and names of the classes are."""
    faulty = np.zeros(2000, bool)
    faulty[[250, 1850, 1851, 1900]] = True
    names, numbers = (tuple(sorted(labels)), [sorted(labels).index(one) for one in labels]) if names else ((), labels)
    series = np.arange(2000.0)
    made = data.vectors(series, np.where(faulty, *numbers), "s", 10, 3, names, **options)
    found = data.one_class(made, **options)
    for split in found.splits:
        seen = np.isin(found.images(split)[..., 0], np.flatnonzero(faulty)).any(axis=1)
        np.testing.assert_array_equal(found.anomalous(split), seen)
    assert found.spec.sizes["train"] < made.spec.sizes["train"] and found.anomalous("test").any()
    if max(numbers) == numbers[1]:
        with pytest.raises(UserError, match="expected windows that know their normal times, received 's': give"):
            data.one_class(data.vectors(series, np.where(faulty, *numbers), "s", 10, 3, names), **options)


def test_splits_of_a_series_do_not_share_times():
    """The first 80 % of the time train, the next 10 % validate, the last 10 % test, without windows across the borders."""
    found = data.vectors(np.arange(1000.0), window=20, step=5)
    spans = {split: (found.images(split).min(), found.images(split).max()) for split in found.splits}
    assert spans == {"train": (0, 799), "validation": (800, 899), "test": (900, 999)}
    assert found.spec.image_shape == (20, 1) and found.spec.sizes == {"train": 157, "validation": 17, "test": 17}
    halved = data.vectors({"train": np.arange(90.0), "test": np.arange(50.0)}, window=10)
    assert halved.images("validation").min() == 80 and halved.spec.sizes == {"train": 8, "validation": 1, "test": 5}


@pytest.mark.parametrize("given, message", [
    ({"values": ROWS[:, 0]}, r"received float32 \(50,\): give --window"),
    ({"values": np.array([["a"]])}, r"expected numbers of shape \(N, D\) in train"),
    ({"values": np.array([[1.0, np.nan]] * 9)}, "received nan in row 0, column 1"),
    ({"values": np.array([[1e39]] * 9)}, r"finite numbers up to 3e38 in train of 'vectors', received 1e\+39"),
    ({"values": ROWS[:2]}, "expected at least 3 rows to split in 'vectors', received 2"),
    ({"values": ROWS, "labels": np.arange(3)}, r"expected labels as integers >= 0 of shape \(50,\) in train"),
    ({"values": ROWS, "labels": -np.ones(50, int)}, "expected labels as integers >= 0"),
    ({"values": ROWS, "step": 2}, "--window-step expects --window"),
    ({"values": ROWS, "window": 6}, "expected a series of at least 60 times for windows of 6, received 50"),
    ({"values": {"train": ROWS[:35], "test": ROWS}, "window": 6}, "at least 54 times for windows of 6, received 35"),
    ({"values": ROWS, "window": 0}, "window expects an int >= 1"),
    ({"values": {"test": ROWS}}, "expects a split 'train'"),
    ({"values": {"train": ROWS, "test": ROWS[:, :2]}}, "expected rows of one shape in all splits")])
def test_what_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        data.vectors(**given)


def test_specs_that_are_refused():
    spec = data.vectors(ROWS).spec
    for changes, message in (({"scale": (1.0, 0.0, 1.0)}, r"DataSpec\(scale\) expects 3 finite numbers > 0"),
                             ({"location": (1.0,)}, r"DataSpec\(location\) expects 3 finite numbers for vectors"),
                             ({"image_shape": (2, 2, 3)}, r"DataSpec\(image_shape\) expects one int >= 1"),
                             ({"levels": 2}, r"DataSpec\(location\) expects None with view='images' and levels=2"),
                             ({"view": "signal"}, r"DataSpec\(location\) expects None with view='signal'")):
        with pytest.raises(UserError, match=message):
            dataclasses.replace(spec, **changes)


@pytest.mark.parametrize("name, size, classes", [("iris", 4, 3), ("wine", 13, 3), ("breast_cancer", 30, 2)])
def test_sets_of_scikit_learn(name, size, classes):
    found = data.load(name)
    assert found.spec.image_shape == (size,) and found.spec.num_classes == classes == len(found.spec.class_names)


def test_options_of_other_data_are_refused():
    for options, message in (({"image_size": 8}, "image_size expects a set of images or one signal or posed images of a "
                                                 "scene, received 'wine', which holds vectors: leave out --image-size"),
                             ({"levels": 4}, "levels expects a set of images"), ({"pairs": "edges"}, "pairs expects a set")):
        with pytest.raises(UserError, match=message):
            data.load("wine", **options)
    with pytest.raises(UserError, match="window expects vectors, received 'digits', which holds images: leave out --window"):
        data.load("digits", window=3)


def test_a_class_of_a_file_whose_classes_are_numbers_is_that_number(tmp_path):
    """Not the class at that place."""
    path = tmp_path / "table.csv"
    path.write_text("a,k\n" + "".join(f"{row},{2 * (row % 4) + 2}\n" for row in range(800)))
    assert data.load(path, label="k", normal=4).spec.class_names == ("4", "2", "6", "8")
    with pytest.raises(UserError, match="expected classes of .*: '2', '4', '6', '8', received '3'"):
        data.load(path, label="k", normal=3)

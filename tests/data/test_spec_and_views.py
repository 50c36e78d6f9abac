import json

import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import DataSpec, load, pairings, views
from tfgen.errors import UserError
from tfgen.layers.corruption import MaskPixels


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_spec_round_trip_through_json(digits):
    spec = digits.spec
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert hash(spec) == hash(DataSpec.from_json(spec.to_json()))
    record = spec.to_json()
    del record["source_shape"], record["view"]  # written before there were any
    assert DataSpec.from_json(record) == spec
    for view in ("paired", "unpaired"):
        spec = DataSpec("a", (8, 8, 3), sizes={"train": 3}, view=view, source_shape=[8, 8, 1])
        assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec and spec.source_shape == (8, 8, 1)


def test_classes_of_other_names_are_told():
    spec = DataSpec("a", (8, 8, 1), 3, {"train": 9}, ("1", "2", "3"))
    before = DataSpec("a", (8, 8, 1), 4, {"train": 9}).to_json()
    assert spec.changes_since(before).endswith("trained: classes 4 -> 3, names of classes")
    assert spec.changes_since(spec.to_json()) is None


@pytest.mark.parametrize("fields", [
    {"name": ""}, {"image_shape": (8, 8)}, {"image_shape": (8, 0, 1)}, {"image_shape": "8x8"},
    {"num_classes": 0}, {"num_classes": True}, {"sizes": {"train": -1}}, {"sizes": [3]},
    {"num_classes": 3, "class_names": ("a", "b")}, {"class_names": ("a",)}, {"view": ""},
    {"view": "labelled"}, {"view": "paired"}, {"source_shape": (8, 8, 1)}, {"view": "unpaired", "source_shape": (8, 8)},
    {"view": "one_class", "source_shape": (8, 8, 1)}, {"view": "one_class", "num_classes": 2}])
def test_spec_validates(fields):
    with pytest.raises(ValueError, match="expects .* received"):
        DataSpec(**{"name": "a", "image_shape": (8, 8, 1), **fields})


@pytest.mark.parametrize("record", [{}, {"name": "a"}, {"name": "a", "image_shape": [1, 1, 1], "colour": 1}, None])
def test_spec_from_json_rejects(record):
    with pytest.raises(ValueError, match=r"DataSpec.from_json expects"):
        DataSpec.from_json(record)


def first(stream):
    return next(iter(stream))


def test_labelled_pairs_images_with_their_labels(digits):
    known = {image.tobytes(): label for image, label in zip(digits.images("train"), digits.labels("train"), strict=True)}
    images, labels = first(digits.train(32, seed=2, view=views.labelled))
    assert images.shape == (32, 8, 8, 1) and images.dtype == tf.float32 and labels.dtype == tf.int64
    for image, label in zip(np.rint(images.numpy() * 255).astype(np.uint8), labels.numpy(), strict=True):
        assert known[image.tobytes()] == label


def test_binarised_is_fresh_in_training_and_fixed_in_evaluation(digits):
    n = digits.spec.sizes["train"]
    one = [first(digits.train(n, seed=1, view=views.binarised, start=epoch)).numpy() for epoch in (0, 1)]
    assert set(np.unique(one[0])) == {0.0, 1.0}
    # Each epoch is the whole train split; the pixel mean estimates the mean intensity.
    mean = digits.images("train").mean() / 255
    assert all(abs(x.mean() - mean) < 4 * 0.5 / np.sqrt(x.size) for x in one)
    order = [np.lexsort(x.reshape(n, -1).T) for x in one]
    assert not np.array_equal(one[0][order[0]], one[1][order[1]])
    a, b = (np.concatenate(list(digits.batches("test", size, views.binarised).as_numpy_iterator())) for size in (50, 64))
    np.testing.assert_array_equal(a, b)


def test_corrupted_gives_input_and_clean_target(digits):
    view = views.corrupted(MaskPixels(0.5))
    noisy, clean = first(digits.batches("test", 100, view))
    np.testing.assert_array_equal(clean, digits.images("test")[:100] / np.float32(255))
    kept = noisy.numpy() == clean.numpy()
    assert kept[noisy.numpy() != 0].all() and 0.3 < (~kept).sum() / (clean.numpy() > 0).sum() < 0.7
    again, _ = first(digits.batches("test", 100, view))
    np.testing.assert_array_equal(noisy, again)
    x, y = first(digits.train(16, view=view))
    assert x.shape == y.shape == (16, 8, 8, 1)


def test_corrupted_rejects_what_is_no_corruption():
    with pytest.raises(UserError, match="expects a layer"):
        views.corrupted(lambda x: x)


@pytest.mark.parametrize("batches", [lambda d, view: d.train(4, view=view), lambda d, view: d.batches("test", 4, view)])
def test_paired_is_source_then_image(digits, batches):
    data = load("digits", pairs="low_resolution:2")
    source, image = first(batches(data, views.paired))
    np.testing.assert_array_equal(image, first(batches(digits, views.images)))
    np.testing.assert_allclose(source, pairings.upscale(pairings.downscale(image, 2), 8), atol=1e-6)
    with pytest.raises(UserError, match="--pairs edges") as caught:
        batches(digits, views.paired)
    assert "--domains A,B" in str(caught.value) and "trainA" in str(caught.value) and "\n" not in str(caught.value)


def test_erased_pairs_are_fresh_in_training_and_fixed_in_evaluation():
    data = load("digits", pairs="erased")
    a, b = (np.concatenate([x for x, _ in data.batches("test", size, views.paired).as_numpy_iterator()])
            for size in (50, 64))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.rint(a * 255), data.sources("test"))
    n = data.spec.sizes["train"]
    epochs = [{y.tobytes(): x.tobytes() for x, y in zip(*(t.numpy() for t in first(data.train(n, 1, views.paired, start))),
                                                        strict=True)} for start in (0, 1)]
    assert epochs[0].keys() == epochs[1].keys()
    assert np.mean([epochs[0][image] != epochs[1][image] for image in epochs[0]]) > 0.8


def test_by_name():
    assert views.by_name("paired") is views.paired
    assert views.by_name("binarised") is views.binarised
    for typo, hint in [("labeled", "did you mean 'labelled'"), ("zzz", "one of")]:
        with pytest.raises(UserError, match=hint) as caught:
            views.by_name(typo)
        assert "\n" not in str(caught.value)

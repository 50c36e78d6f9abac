import json

import numpy as np
import pytest
from helpers import again, one_line, pixels, same

from tfgen.data import DataSpec, load, views
from tfgen.data.dataset import Dataset
from tfgen.data.levels import quantise
from tfgen.layers import Jitter


@pytest.mark.parametrize("levels", [2, 3, 5, 16, 17, 100, 255, 256])
def test_bins_are_equal_and_levels_are_recovered(levels):
    pixel = np.arange(256, dtype=np.uint8)
    stored = quantise(pixel, levels)
    wanted = [value * levels // 256 for value in range(256)]
    assert np.rint(stored / 255 * (levels - 1)).tolist() == wanted and stored.dtype == np.uint8
    counts = np.bincount(wanted)
    assert len(counts) == levels and counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(quantise(pixel, 256), pixel)


def on_levels(x, levels):
    return np.isin(x, (np.arange(levels, dtype=np.float32) / np.float32(levels - 1))).all()


@pytest.mark.parametrize("levels", [2, 5, 16])
def test_batches_hold_exact_levels_and_the_record_reloads_them(levels):
    data, plain = load("digits", levels=levels), load("digits")
    assert data.spec.levels == levels and data.spec.binarisation == ("threshold" if levels == 2 else None)
    assert same(again(data), data) and again(data).spec == data.spec
    found = np.concatenate([x for x in data.batches("test").as_numpy_iterator()])
    assert on_levels(found, levels) and len(np.unique(found)) == levels
    np.testing.assert_array_equal(np.rint(found * (levels - 1)), plain.images("test").astype(int) * levels // 256)
    for augment in (None, Jitter()):
        assert on_levels(next(iter(data.train(64, augment=augment))).numpy(), levels)


def test_dynamic_binarisation_is_fresh_in_training_and_fixed_elsewhere():
    data, plain = load("digits", binarise="dynamic"), load("digits")
    assert (data.spec.levels, data.spec.binarisation) == (2, "dynamic") and same(again(data), data)
    n = data.spec.sizes["train"]
    epochs = [next(iter(data.train(n, 1, start=epoch))).numpy() for epoch in (0, 1)]
    mean = plain.images("train").mean() / 255
    for x in epochs:
        assert set(np.unique(x)) == {0.0, 1.0} and abs(x.mean() - mean) < 4 * 0.5 / np.sqrt(x.size)
    rows = [sorted(image.tobytes() for image in x) for x in epochs]
    assert rows[0] != rows[1]
    held = [np.concatenate(list(data.batches("test", size, view).as_numpy_iterator()))
            for size, view in ((50, views.images), (64, views.images), (64, views.binarised))]
    for x in held:
        np.testing.assert_array_equal(255 * x, data.images("test"))
    assert set(np.unique(data.images("test"))) == {0, 255}
    # An intensity of 0 or 255 leaves nothing to chance.
    certain = np.isin(plain.images("test"), (0, 255))
    np.testing.assert_array_equal(data.images("test")[certain], plain.images("test")[certain])
    np.testing.assert_array_equal(data.images("train"), plain.images("train"))


def test_threshold_is_two_levels():
    data = load("digits", binarise="threshold")
    assert same(data, load("digits", levels=2))
    np.testing.assert_array_equal(data.images("test"), 255 * (load("digits").images("test") >= 128))


def test_a_view_of_8_bit_data_is_unchanged():
    plain = load("digits")
    assert load("digits", levels=256).source == plain.source and plain.spec.levels == 256
    x = next(iter(plain.batches("test"))).numpy()
    np.testing.assert_array_equal(x, plain.images("test")[:128] / np.float32(255))


def test_one_class_data_keep_their_levels():
    data = load("digits", levels=4, normal="1")
    assert data.spec.levels == 4 and data.spec.view == "one_class" and same(again(data), data)
    assert on_levels(next(iter(data.batches("test"))).numpy(), 4)


def test_records_of_levels():
    spec = DataSpec("a", (8, 8, 1), sizes={"train": 3}, levels=2, binarisation="dynamic")
    record = json.loads(json.dumps(spec.to_json()))
    assert DataSpec.from_json(record) == spec and spec.changes_since(record) is None
    old = DataSpec("a", (8, 8, 1), sizes={"train": 3}).to_json()
    del old["levels"], old["binarisation"]  # written before there were any
    assert DataSpec.from_json(old).levels == 256 and DataSpec.from_json(old).changes_since(old) is None
    one_line(["256 grey levels", "with 2"], spec.changes_since, old)


@pytest.mark.parametrize("fields", [{"levels": 1}, {"levels": 257}, {"levels": True}, {"levels": 2.0},
                                    {"binarisation": "dynamic"}, {"binarisation": "static", "levels": 2}])
def test_spec_validates_levels(fields):
    with pytest.raises(ValueError, match="expects .* received"):
        DataSpec("a", (8, 8, 1), **fields)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"levels": 1}, ["2 to 256", "received 1"]), ({"levels": 300}, ["300"]), ({"levels": True}, ["True"]),
    ({"levels": 2.5}, ["2.5"]), ({"binarise": "static"}, ["dynamic, threshold", "'static'"]),
    ({"levels": 16, "binarise": "dynamic"}, ["levels or binarise", "leave out one"]),
    ({"levels": 16, "pairs": "edges"}, ["without sources", "--pairs"]),
    ({"binarise": "dynamic", "domains": "1,2"}, ["without sources", "--domains"])])
def test_wrong_arguments(arguments, words):
    one_line(words, load, "digits", **arguments)


def test_images_are_discretised_once():
    from tfgen.data import discretise

    images = pixels(8, 4, 4)[..., None]
    data = discretise(Dataset(DataSpec("a", (4, 4, 1), sizes={"train": 8}), {"train": (images, None)}), 3)
    assert len(np.unique(data.images("train"))) == 3
    one_line(["with 3", "once"], discretise, data, 5)

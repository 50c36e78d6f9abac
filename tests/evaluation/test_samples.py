"""Samples of a model against the images of a split."""


import numpy as np
import pytest
from helpers import Pixels

from tfgen import data
from tfgen.errors import UserError
from tfgen.evaluation.samples import of_samples, sampled_like
from tfgen.evaluation.split import of_translations
from tfgen.verbs import Option


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_of_samples_takes_a_permutation_of_the_split_and_refuses_bad_samples(digits):
    fine = np.random.default_rng(0).random((20, 8, 8, 1))
    values = of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=20, batch_size=6)
    assert values["n_real"] == values["n_fake"] == 20
    with pytest.raises(UserError, match="finite pixels, received NaN or infinity among images 6 to 11"):
        of_samples(lambda seeds: np.where(seeds[0] < 6, fine[seeds], np.nan), digits, Pixels(), n=20, batch_size=6)
    with pytest.raises(UserError, match=r"shape \(6, 8, 8, 1\), as the data set's images, received \(6, 4, 4, 1\)"):
        of_samples(lambda seeds: fine[seeds][:, ::2, ::2], digits, Pixels(), n=20, batch_size=6)
    with pytest.raises(UserError, match="n expects an int in 6"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=5)
    with pytest.raises(UserError, match="seed expects"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=20, seed=-1)
    with pytest.raises(UserError, match="split"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), split="nowhere")


class Rare:
    """Verbs of a perfect conditional model of two classes, bright and dark images."""

    options = {"sample": {"label": Option("int64", None, 0, 1, "class")}}

    def __call__(self, name, seeds, label=None):
        label = seeds % 2 if label is None else label
        noise = np.random.default_rng(len(seeds)).random((len(seeds), 4, 4, 1))
        return (0.1 * noise + 0.8 * label[:, None, None, None]).astype("float32")


@pytest.mark.parametrize("dark", [100, 190])
def test_a_conditional_model_is_judged_with_the_classes_of_the_split(dark):
    """As many of each as there are; equal numbers in turns, as before."""
    labels = np.repeat([0, 1], [dark, 200 - dark])
    x = (255 * Rare()("sample", np.arange(200), labels)).astype("uint8")
    dataset = data.Dataset(data.DataSpec("rare", (4, 4, 1), 2, {"train": 200, "validation": 200}),
                           {split: (x, labels) for split in ("train", "validation")})
    asked = []

    def sample(seeds):
        made = sampled_like(Rare(), dataset, "validation")(seeds)
        asked.append(made.mean((1, 2, 3)) > 0.5)
        return made

    found = of_samples(sample, dataset, Pixels(), n=200)
    assert np.concatenate(asked).sum() == 200 - dark and found["frechet_distance"] < 0.05


def test_samples_of_dynamically_binarised_data_are_compared_with_binary_images():
    binary = data.load("digits", binarise="dynamic")
    drawn = binary.drawn("train")
    assert set(np.unique(drawn)) == {0, 255} and len(np.unique(binary.images("train"))) > 2
    np.testing.assert_array_equal(drawn[:99], np.concatenate([255 * x for x in binary.batches(
        "train", limit=99).as_numpy_iterator()]))
    assert binary.drawn("test") is binary.images("test")
    found = of_samples(lambda seeds: drawn[seeds % len(drawn)] / np.float32(255), binary, Pixels(), "train", len(drawn))
    assert found["frechet_distance"] < 1e-3


class Copies:
    """Verbs of a translation that changes nothing."""

    def __call__(self, name, sources, batch_size):
        return sources


def test_translations_of_a_sorted_split_are_compared_in_no_order():
    """Kernel distances compare parts of a split: of brighter and brighter images they would be of two kinds."""
    grey = np.random.default_rng(0).uniform(size=2400)
    images = np.broadcast_to((255 * np.sort(grey))[:, None, None, None], (2400, 2, 2, 1)).astype("uint8")
    spec = data.DataSpec("sorted", (2, 2, 1), None, {"train": 2400, "test": 2400}, view="unpaired", source_shape=(2, 2, 1))
    dataset = data.Dataset(spec, dict.fromkeys(("train", "test"), (images, None)),
                           sources=dict.fromkeys(("train", "test"), np.ascontiguousarray(images[::-1])))
    found = of_translations(Copies(), dataset, extractor=Pixels())
    assert abs(found["kernel_distance"]) < 0.05

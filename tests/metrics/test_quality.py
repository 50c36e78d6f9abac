import json

import numpy as np
import pytest
from helpers import Pixels

from tfgen import data
from tfgen.evaluation import features
from tfgen.evaluation.samples import of_samples
from tfgen.metrics import Moments, compare, frechet_distance, precision_recall


def batches(images, size):
    return [images[i:i + size] for i in range(0, len(images), size)]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


COMMON = {"frechet_distance", "kernel_distance", "kernel_distance_error", "precision", "recall", "density", "coverage",
          "n_real", "n_fake", "n_manifold", "k_precision_recall", "k_density_coverage", "extractor", "checksum", "resize"}


def test_compare_is_the_metrics_of_all_features_in_any_batches():
    rng = np.random.default_rng(0)
    real, fake = rng.random((70, 2, 2, 1), np.float32), rng.random((50, 2, 2, 1), np.float32) ** 2
    values = compare(batches(real, 16), batches(fake, 7), Pixels(), limit_manifold=40)
    assert set(values) == COMMON and json.loads(json.dumps(values)) == values
    assert (values["n_real"], values["n_fake"], values["n_manifold"]) == (70, 50, 40)
    sides = Moments(), Moments()
    for moments, images in zip(sides, (real, fake)):
        moments.update(images.reshape(len(images), -1))
    assert values["frechet_distance"] == pytest.approx(frechet_distance(*sides), rel=1e-9)
    expected = precision_recall(real[:40].reshape(40, -1), fake[:40].reshape(40, -1))
    assert {key: values[key] for key in expected} == expected
    assert values["kernel_distance_error"] is None
    again = compare(batches(real, 70), batches(fake, 50), Pixels(), limit_manifold=40)
    numbers = {key for key, value in values.items() if isinstance(value, float)}
    assert {key: again[key] for key in numbers} == pytest.approx({key: values[key] for key in numbers}, rel=1e-9)


def test_compare_keeps_few_features_of_a_long_stream():
    rng = np.random.default_rng(0)
    held = []

    class Watched(Pixels):
        def __call__(self, images):
            held.append(len(images))
            return super().__call__(images)

    # One side is much longer: the other ends after one block of the kernel distance and half of a second.
    values = compare((rng.random((100, 1, 2, 1), np.float32) for _ in range(40)),
                     (rng.random((100, 1, 2, 1), np.float32) for _ in range(15)), Watched(classes=True), limit_manifold=10)
    assert set(values) == COMMON | {"classifier_score", "modes", "modes_entropy"}
    assert (values["n_real"], values["n_fake"], values["n_manifold"], len(held)) == (4000, 1500, 10, 55)
    assert values["kernel_distance_error"] > 0 and 1 <= values["classifier_score"] <= 2 and values["modes"] == 2


def test_compare_refuses_too_few_images_and_bad_features():
    images = np.zeros((8, 2, 2, 1), np.float32)
    with pytest.raises(ValueError, match="at least 6 images of each side, received 8 real and 5 fake"):
        compare([images], [images[:5]], Pixels())
    with pytest.raises(ValueError, match="at least 6 images of each side, received 0 real"):
        compare([], [images], Pixels())
    with pytest.raises(ValueError, match="finite"):
        compare([images], [images * np.nan], Pixels())
    with pytest.raises(ValueError, match="limit_manifold"):
        compare([images], [images], Pixels(), limit_manifold=5)


@pytest.mark.rotating
def test_real_images_are_near_and_noise_is_far(digits, tmp_path):
    extractor = features.classifier(digits, epochs=8, cache=tmp_path)
    train = digits.images("train").astype(np.float32) / 255

    def real(seeds):
        assert seeds.dtype == np.int64 and np.all(seeds >> 32 == 3)
        return train[seeds & 0xFFFFFFFF]

    def noise(seeds):
        return np.random.default_rng(int(seeds[0])).random((len(seeds), 8, 8, 1))

    near, far = (of_samples(sample, digits, extractor, split="test", n=400, seed=3) for sample in (real, noise))
    assert set(near) == COMMON | {"classifier_score", "modes", "modes_entropy", "accuracy", "split", "seed"}
    assert near["n_fake"] == 400 and near["n_real"] == digits.spec.sizes["test"]
    assert (near["split"], near["seed"], near["modes"]) == ("test", 3, 10)
    assert near["precision"] > 0.8 and near["recall"] > 0.8 and near["coverage"] > 0.8 and near["classifier_score"] > 7
    assert far["frechet_distance"] > 10 * near["frechet_distance"]
    assert far["kernel_distance"] > 10 * abs(near["kernel_distance"])
    assert far["precision"] < near["precision"] and far["coverage"] < near["coverage"]
    same = of_samples(real, digits, extractor, split="train", n=len(train), seed=3)
    assert same["frechet_distance"] < 1e-6 and same["precision"] > 0.99 and same["recall"] > 0.99

"""Metrics against their reference implementations: with the extra `reference`, or numbers that these have given."""

import json
import sys
from unittest import mock

import anomalib_aupro
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.evaluation import extractor_training, inception
from tfgen.evaluation.features import Extractor, traced
from tfgen.losses import perceptual_distance
from tfgen.metrics import (
    KernelDistance,
    Moments,
    aupro,
    compare,
    density_coverage,
    frechet_distance,
    precision_recall,
    ssim,
)

MISSING = "the extra 'reference' is not installed"


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


@pytest.fixture
def reference(monkeypatch):
    """Gives a module of the extra by its name.

    clean-fid and lpips import torchvision, of which nothing is used here and whose wheel fails beside a CPU build of
    PyTorch: then an empty module stands in for it.
    """
    pytest.importorskip("torch", reason=MISSING)
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in ("torchvision", "torchvision.models"):
            monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    return lambda name: pytest.importorskip(name, reason=MISSING)


def photographs(count, height, width, seed=0):
    """uint8 (count, height, width, 3): smooth shapes with hard edges, black and white up to the border."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(size=(count, 6, 6, 3)).astype("float32")
    smooth = tf.image.resize(coarse, (height, width), "bicubic").numpy()
    edges = np.where(smooth[..., :1] > 0.4, 2.0, smooth) + 0.1 * generator.normal(size=smooth.shape)
    return np.uint8(np.clip(127.5 + 90 * edges, 0, 255))


@pytest.mark.parametrize("height, width", [(32, 32), (28, 40), (299, 299), (420, 500), (640, 200)])
def test_images_are_resized_as_by_clean_fid(reference, height, width):
    resize = reference("cleanfid.resize").build_resizer("clean")
    images = photographs(2, height, width)
    assert images.min() == 0 and images.max() == 255
    found = inception.resized(tf.constant(images / 255.0, tf.float32))
    np.testing.assert_allclose(255.0 * found.numpy(), [resize(image) for image in images], atol=0.01)


@pytest.mark.parametrize("width, rows", [(5, 200), (64, 400), (64, 40)])
def test_frechet_distance_of_features_is_clean_fids(reference, width, rows):
    """Also of fewer rows than features, where both covariances are singular."""
    fid = reference("cleanfid.fid")
    generator = np.random.default_rng(width)
    mixing = generator.normal(size=(width, width))
    first, second = generator.normal(size=(rows, width)) @ mixing, generator.normal(0.3, 1.2, (rows, width)) @ mixing
    sides = Moments(), Moments()
    for moments, features in zip(sides, (first, second)):
        for part in np.array_split(features, 3):
            moments.update(part)
    assert frechet_distance(*sides) == pytest.approx(fid.fid_from_feats(first, second), rel=1e-3)


@pytest.mark.parametrize("side", [32, 360])
def test_distance_of_images_is_clean_fids(reference, side):
    """From images to the distance, with one network on both sides."""
    fid, resize = reference("cleanfid.fid"), reference("cleanfid.resize").build_resizer("clean")
    kernel = np.random.default_rng(1).normal(size=(30, 30, 3, 12)).astype("float32") / 30

    def features(images):
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images * 2.0 - 1.0, kernel, 30, "VALID")), (1, 2))

    extractor = Extractor("random", traced(lambda images: [features(inception.resized(images))]), [kernel])
    real, fake = photographs(24, side, side), photographs(24, side, side, 1) // 2 + 64
    found = compare(*([images.astype("float32") / 255.0] for images in (real, fake)), extractor)["frechet_distance"]
    wanted = fid.fid_from_feats(*(np.asarray(features(np.stack([resize(image) for image in images]) / 255.0))
                                  for images in (real, fake)))
    assert wanted > 0.01 and found == pytest.approx(wanted, rel=1e-3)


def test_kernel_distance_of_features_is_clean_fids(reference):
    """Whose subsets of all images are one block, in another order."""
    generator = np.random.default_rng(0)
    real, fake = generator.normal(size=(80, 6)), generator.normal(0.2, 1.1, (80, 6))
    kernel = KernelDistance(block=80)
    kernel.update(real, fake)
    wanted = reference("cleanfid.fid").kernel_distance(real, fake, num_subsets=1, max_subset_size=80)
    assert kernel.result()[0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_density_and_coverage_are_those_of_prdc(reference, k):
    compute_prdc = reference("prdc").compute_prdc
    generator = np.random.default_rng(k)
    real = generator.normal(size=(130, 8)).astype("float32")
    fake = generator.normal(0.4, 0.8, (90, 8)).astype("float32")
    found = precision_recall(real, fake, k) | density_coverage(real, fake, k)
    wanted = compute_prdc(real, fake, nearest_k=k)
    assert found == pytest.approx(wanted, abs=1e-9) and 0 < min(wanted.values()) and wanted["precision"] < 1


def test_precision_and_recall_count_the_border_of_a_ball_which_prdc_leaves_out(reference):
    """Kynkäänniemi et al. (2019) have <= in equation 1, and so in their code; densities and coverages have <."""
    compute_prdc = reference("prdc").compute_prdc
    real, fake = np.array([[0.0], [1.0], [5.0]]), np.array([[2.0], [9.0], [20.0]])
    wanted = compute_prdc(real, fake, nearest_k=1)
    # Balls [-1, 1], [0, 2] and [1, 9] of the real rows hold 2 and 9; open ones hold 2 alone.
    assert wanted["precision"] == pytest.approx(1 / 3)
    assert precision_recall(real, fake, 1)["precision"] == pytest.approx(2 / 3)
    assert density_coverage(real, fake, 1) == pytest.approx({key: wanted[key] for key in ("density", "coverage")})


@pytest.fixture
def of_lpips(reference, monkeypatch):
    """Gives (lpips' model, its distance of two lists of feature maps (B, h, w, c)), with its learned weights or without."""
    torch, lpips = reference("torch"), reference("lpips")
    monkeypatch.setattr(lpips.pretrained_networks, "squeezenet", lambda **_: torch.nn.Identity())

    def made(learned):
        model = lpips.LPIPS(net="squeeze", lpips=learned, pretrained=learned, version="0.0", verbose=False)
        model.scaling_layer = torch.nn.Identity()

        def distance(*sides):
            model.L = len(sides[0])
            maps = [[torch.from_numpy(np.moveaxis(one, 3, 1).copy()) for one in side] for side in sides]
            return model(*maps).detach().numpy()[:, 0, 0, 0]
        return model, distance
    return made


def test_perceptual_distance_with_learned_weights_is_that_of_lpips(of_lpips):
    (model, distance), generator = of_lpips(learned=True), np.random.default_rng(0)
    sides = [[np.maximum(generator.normal(size=(3, 4, 5, c)), 0).astype("float32") for c in model.chns] for _ in range(2)]
    weights = [layer.model[-1].weight.detach().numpy().ravel() for layer in model.lins]
    assert min(map(np.ptp, weights)) > 0
    np.testing.assert_allclose(perceptual_distance(*sides, weights), distance(*sides), rtol=1e-4)


def test_perceptual_distance_over_the_projects_own_features_is_that_of_lpips(of_lpips):
    network = extractor_training.network((24, 24, 1), 10, seed=0)
    maps = keras.Model(network.input, extractor_training.feature_maps(network))
    sides = [[one.numpy() for one in maps(photographs(4, 24, 24, seed)[..., :1] / 255.0, training=False)] for seed in (0, 1)]
    wanted = of_lpips(learned=False)[1](*sides)
    np.testing.assert_allclose(perceptual_distance(*sides), wanted, rtol=1e-4)
    assert wanted.min() > 0.1


def test_ssim_is_scikit_images():
    of_skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed").structural_similarity
    made, wanted = photographs(3, 24, 30, 0) / 255.0, photographs(3, 24, 30, 1) / 255.0
    made = 0.7 * wanted + 0.3 * made
    about = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "channel_axis": -1}
    np.testing.assert_allclose(ssim(made, wanted), [of_skimage(*pair, **about) for pair in zip(made, wanted)], atol=1e-4)


def test_aupro_is_anomalibs():
    known = json.loads(anomalib_aupro.KNOWN.read_text())
    assert known["cases"] == [list(one) for one in anomalib_aupro.CASES]
    for (*about, limit), wanted in zip(anomalib_aupro.CASES, known["aupro"], strict=True):
        assert aupro(*anomalib_aupro.case(*about), limit) == pytest.approx(wanted, abs=1e-6)

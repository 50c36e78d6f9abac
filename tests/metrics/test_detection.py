import json
import time

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from tfgen.metrics import aupro, auroc, average_precision, detection, pixel_auroc

ANOMALOUS = np.array([False, True, False, True, False])
SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.4])


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


def aupro_by_loops(masks, maps, limit):
    """The curve by a loop over thresholds, images and regions, integrated piece by piece."""
    points = [(0.0, 0.0)]
    for value in np.unique(maps)[::-1]:
        shares = []
        for mask, heat in zip(masks, maps):
            regions, count = ndimage.label(mask, np.ones((3, 3)))
            shares += [np.mean(heat[regions == k] >= value) for k in range(1, count + 1)]
        points.append((np.mean(maps[~masks] >= value), np.mean(shares)))
    area = 0.0
    for (x, y), (after_x, after_y) in zip(points, points[1:]):
        if x < limit and after_x > x:
            stop = min(after_x, limit)
            stop_y = y + (after_y - y) * (stop - x) / (after_x - x)
            area += (stop - x) * (y + stop_y) / 2
    return area / limit


def random_masks(generator, shape=(6, 12, 10)):
    """Blobs; the last image is normal."""
    masks = ndimage.gaussian_filter(generator.normal(size=shape), (0, 1, 1)) > 0.25
    masks[-1] = False
    return masks


def test_scores_by_hand():
    # Of 2 x 3 pairs: 0.8 wins 3; 0.4 wins 2 and ties 1.
    assert auroc(ANOMALOUS, SCORES) == pytest.approx(5.5 / 6)
    # Thresholds 0.8: 1 of 1, recall 1/2; 0.4: 2 of 3, recall 1.
    assert average_precision(ANOMALOUS, SCORES) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert auroc(ANOMALOUS, -SCORES) == pytest.approx(0.5 / 6)
    assert detection(ANOMALOUS, SCORES) == {"auroc": auroc(ANOMALOUS, SCORES),
                                            "average_precision": average_precision(ANOMALOUS, SCORES)}


def test_decisions_by_hand():
    found = detection(ANOMALOUS, SCORES, 0.35)  # 0.35 itself is normal
    assert found["precision"] == pytest.approx(2 / 3) and found["recall"] == 1.0 and found["f1"] == pytest.approx(0.8)
    assert found["fpr"] == pytest.approx(1 / 3) and found["fpr_low"] < 1 / 3 < found["fpr_high"]
    assert (found["normal"], found["anomalous"], found["threshold"]) == (3, 2, 0.35)
    assert json.loads(json.dumps(found)) == found
    none = detection(ANOMALOUS, SCORES, 5.0)
    assert (none["precision"], none["recall"], none["f1"], none["fpr"]) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("n", [1, 20, 50])
def test_interval_is_that_of_clopper_and_pearson(n):
    none = detection(np.zeros(n, bool), np.zeros(n), 0.0)
    assert none["fpr"] == none["fpr_low"] == 0.0 and none["fpr_high"] == pytest.approx(1 - 0.025**(1 / n))
    every = detection(np.zeros(n, bool), np.ones(n), 0.0)
    assert every["fpr"] == every["fpr_high"] == 1.0 and every["fpr_low"] == pytest.approx(0.025**(1 / n))
    assert set(none) == {"threshold", "fpr", "fpr_low", "fpr_high", "normal", "anomalous"} and none["anomalous"] == 0


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("levels", [2, 4, 50, None])
def test_aupro_is_that_of_loops(levels, limit):
    generator = np.random.default_rng(levels)
    masks = random_masks(generator)
    maps = generator.random(masks.shape) + 0.3 * masks
    maps = maps if levels is None else np.round(maps * levels)
    assert aupro(masks, maps, limit) == pytest.approx(aupro_by_loops(masks, maps, limit), abs=1e-12)
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))


def test_aupro_by_hand():
    # One region of 1 pixel, one of 3; 6 normal pixels.
    masks = np.array([[[1, 0, 1, 1, 1], [0, 0, 0, 0, 0]]], bool)
    maps = np.array([[[9, 7, 8, 5, 5], [6, 1, 1, 1, 1]]], float)
    # (0, 1/2) (0, 2/3) (1/6, 2/3) (1/3, 2/3) (1/3, 1) (1, 1)
    assert aupro(masks, maps, 0.3) == pytest.approx(2 / 3)
    assert aupro(masks, maps, 1 / 3) == pytest.approx(2 / 3)
    assert aupro(masks, maps, 1.0) == pytest.approx(2 / 9 + 2 / 3)


def test_aupro_of_perfect_constant_and_inverted_maps():
    masks = random_masks(np.random.default_rng(0))
    assert aupro(masks, masks.astype(np.float32)) == pytest.approx(1.0) == pixel_auroc(masks, masks.astype(float))
    constant = np.zeros(masks.shape)
    assert aupro(masks, constant) == pytest.approx(0.15) == aupro_by_loops(masks, constant, 0.3)
    assert aupro(masks, 1.0 - masks) == pytest.approx(0.0, abs=1e-12)


def test_regions_touch_at_corners_but_not_across_images():
    diagonal = np.zeros((1, 4, 4), bool)
    diagonal[0, [0, 1, 2], [0, 1, 1]] = True
    maps = np.zeros((1, 4, 4))
    maps[0, 0, 0] = 1.0
    # A third of one region, then linear to (1, 1).
    assert aupro(diagonal, maps, 0.5) == pytest.approx((1 / 3 + 2 / 3) / 2)
    masks, maps = np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3))
    masks[0, :2, 0] = masks[1, 0, 0] = True
    maps[1, 0, 0] = 1.0
    # One of two regions whole.
    assert aupro(masks, maps, 1.0) == pytest.approx(0.75)


def test_aupro_is_fast():
    generator = np.random.default_rng(0)
    masks = random_masks(generator, (200, 128, 128))
    maps = generator.random(masks.shape, np.float32)
    start = time.process_time()
    assert 0.1 < aupro(masks, maps) < 0.2
    assert time.process_time() - start < 3


@pytest.mark.parametrize("anomalous, scores, threshold, match", [
    ([True, True], [0.1, 0.2], None, "2 anomalous of 2"), ([False, False], [0.1, 0.2], None, "0 anomalous of 2"),
    ([True, True], [0.1, 0.2], 0.5, "2 anomalous of 2"), ([], [], None, "0 anomalous of 0"), ([], [], 0.5, "of 0"),
    ([True, False], [0.1, np.nan], None, "finite"), ([True, False], [0.1, np.inf], 0.5, "finite"),
    ([True, False], [0.1], None, "one shape"), ([[True, False]], [[0.1, 0.2]], None, "one shape"),
    ([2, 0], [0.1, 0.2], None, "bool"), (["a", "b"], [0.1, 0.2], None, "bool"), ([True, False], ["a", "b"], None, "finite"),
    ([True, False], [0.1, 0.2], np.inf, "finite threshold"), ([True, False], [0.1, 0.2], np.nan, "finite threshold")])
def test_scores_that_are_refused(anomalous, scores, threshold, match):
    with pytest.raises(ValueError, match=match) as error:
        detection(anomalous, scores, threshold)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("masks, maps, match", [
    (np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4)), "0 anomalous of 16"), (np.ones((1, 4, 4)), np.zeros((1, 4, 4)), "both"),
    (np.eye(4)[None], np.full((1, 4, 4), np.nan), "finite"), (np.eye(4)[None], np.zeros((1, 8, 8)), "resize the masks"),
    (np.eye(4), np.zeros((4, 4)), "N, H, W"), (np.full((1, 4, 4), 255), np.zeros((1, 4, 4)), "bool")])
def test_maps_that_are_refused(masks, maps, match):
    for metric in (pixel_auroc, aupro):
        with pytest.raises(ValueError, match=match):
            metric(masks, maps)


@pytest.mark.parametrize("limit", [0, -0.1, 1.1, np.nan])
def test_limit_of_aupro_is_a_share(limit):
    with pytest.raises(ValueError, match="limit"):
        aupro(np.eye(4)[None], np.zeros((1, 4, 4)), limit)

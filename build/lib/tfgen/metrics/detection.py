"""Detection metrics for anomaly scores of images and pixels; higher scores are more anomalous."""

import numpy as np
from scipy import ndimage, stats
from sklearn.metrics import auc, average_precision_score, precision_recall_fscore_support, roc_auc_score

from tfgen.errors import UserError


def _finite(what, values):
    values = np.asarray(values)
    if not (np.issubdtype(values.dtype, np.number) and np.all(np.isfinite(values))):
        raise UserError(f"{what} expect finite numbers, received NaN, infinity or {values.dtype}: check "
                         "the model's outputs")
    return values


def _bool(what, values):
    values = np.asarray(values)
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise UserError(f"{what} expect bool, received {values.dtype}: give True where something is anomalous")
    return values.astype(bool)


def _checked(anomalous, scores):
    anomalous, scores = _bool("labels", anomalous), _finite("scores", scores)
    if anomalous.ndim != 1 or anomalous.shape != scores.shape:
        raise UserError(f"detection expects labels and scores of one shape (N,), received {anomalous.shape} and "
                         f"{scores.shape}: give one of each per image")
    return anomalous, scores


def _both_classes(anomalous, what="images"):
    if not 0 < np.count_nonzero(anomalous) < anomalous.size:
        raise UserError(f"expected normal and anomalous {what}, received {np.count_nonzero(anomalous)} anomalous of "
                         f"{anomalous.size}: give some of both")


def auroc(anomalous, scores):
    """Area under the ROC curve: probability that an anomalous image scores higher than a normal one; ties count half.

    Args:
        anomalous: bool (N,).
        scores: (N,).

    Returns:
        A float in [0, 1], 0.5 for uninformative scores.

    Raises:
        UserError: only one class, different lengths, or non-finite scores.
    """
    anomalous, scores = _checked(anomalous, scores)
    _both_classes(anomalous)
    return float(roc_auc_score(anomalous, scores))


def average_precision(anomalous, scores):
    """Average precision: sum over thresholds of precision times the increase of recall.

    Args:
        anomalous: bool (N,).
        scores: (N,).

    Returns:
        A float in (0, 1]; for uninformative scores about the fraction of anomalous images.

    Raises:
        UserError: as `auroc`.
    """
    anomalous, scores = _checked(anomalous, scores)
    _both_classes(anomalous)
    return float(average_precision_score(anomalous, scores))


def detection(anomalous, scores, threshold=None):
    """Ranking metrics of anomaly scores and, with a threshold, classification metrics.

    Args:
        anomalous: bool (N,).
        scores: (N,).
        threshold: images with score > threshold are classified as anomalous; None omits classification metrics.

    Returns:
        {"auroc", "average_precision"}; with a threshold also "precision" (0 if no image is classified as anomalous),
        "recall", "f1", "threshold", "fpr" (fraction of normal images classified as anomalous), "fpr_low", "fpr_high"
        (its 95 % interval of Clopper & Pearson, 1934), "normal", "anomalous" (numbers of images). Without anomalous
        images only the values from "threshold" on. Numbers of JSON types.

    Raises:
        UserError: as `auroc` (with a threshold, normal images alone are allowed), or a non-finite threshold.
    """
    anomalous, scores = _checked(anomalous, scores)
    if threshold is None:
        return {"auroc": auroc(anomalous, scores), "average_precision": average_precision(anomalous, scores)}
    if not np.isfinite(threshold):
        raise UserError(f"detection expects a finite threshold, received {threshold}: give None for a model that is not "
                         "calibrated")
    called, normal, values = scores > threshold, int(np.sum(~anomalous)), {}
    if anomalous.any() or not normal:
        values = detection(anomalous, scores)
        precision, recall, f1, _ = precision_recall_fscore_support(anomalous, called, average="binary", zero_division=0.0)
        values |= {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
    found = stats.binomtest(int(np.sum(called & ~anomalous)), normal)
    interval = found.proportion_ci(0.95, method="exact")
    return values | {"threshold": float(threshold), "fpr": float(found.statistic), "fpr_low": float(interval.low),
                     "fpr_high": float(interval.high), "normal": normal, "anomalous": int(anomalous.sum())}


def _checked_maps(masks, maps):
    masks, maps = _bool("masks", masks), _finite("maps", maps)
    if masks.ndim != 3 or masks.shape != maps.shape:
        raise UserError(f"expected masks and maps of one shape (N, H, W), received {masks.shape} and {maps.shape}: "
                         "resize the masks to the maps")
    _both_classes(masks, "pixels")
    return masks, maps


def pixel_auroc(masks, maps):
    """`auroc` of all pixels of all images together.

    Args:
        masks: bool (N, H, W), True on anomalous pixels; all False for a normal image.
        maps: (N, H, W).

    Returns:
        A float in [0, 1].

    Raises:
        UserError: different shapes, no anomalous or no normal pixel, or non-finite maps.
    """
    masks, maps = _checked_maps(masks, maps)
    return auroc(masks.ravel(), maps.ravel())


def aupro(masks, maps, limit=0.3):
    """Area under the per-region-overlap curve (Bergmann et al., 2021, doi:10.1007/s11263-020-01400-4).

    The curve plots, over thresholds, the fraction of each anomalous region above the threshold, averaged over all regions
    of all images so that small regions count as much as large ones, against the fraction of all normal pixels above it.
    It starts at (0, 0), is linear between the distinct values of the maps and is integrated by the trapezoidal rule.

    Args:
        masks: bool (N, H, W), True on anomalous pixels; all False for a normal image. Regions are 8-connected.
        maps: (N, H, W).
        limit: false positive rate of pixels, in (0, 1], up to which the curve is integrated; the area is divided by it.

    Returns:
        A float in [0, 1]; about limit / 2 for uninformative maps.

    Raises:
        UserError: as `pixel_auroc`, or a limit out of range.
    """
    if not 0 < limit <= 1:
        raise UserError(f"aupro(limit) expects a number in (0, 1], received {limit!r}")
    masks, maps = _checked_maps(masks, maps)
    # Regions are connected within an image, not across images.
    regions, count = ndimage.label(masks, np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))]))
    weights = 1.0 / (count * np.bincount(regions.ravel()))  # weight of each pixel of a region
    weights[0] = 0.0
    order = np.argsort(maps, axis=None)[::-1]
    values, regions = maps.ravel()[order], regions.ravel()[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)  # last index of each run of ties
    false = np.append(0.0, np.cumsum(regions == 0)[last]) / np.count_nonzero(~masks)
    overlap = np.append(0.0, np.cumsum(weights[regions])[last])
    end = np.searchsorted(false, limit, side="right")
    at_limit = np.interp(limit, false[end - 1:end + 1], overlap[end - 1:end + 1])
    return float(auc(np.append(false[:end], limit), np.append(overlap[:end], at_limit)) / limit)

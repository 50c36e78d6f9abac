"""Evaluation of a trained model on one split of its data."""

import functools

import numpy as np

from tfgen import metrics
from tfgen.attempts import Attempts
from tfgen.data import stores
from tfgen.detection import baselines, calibration
from tfgen.evaluation import features
from tfgen.evaluation.likelihood import UNNORMALISED, has_bits, of_log_prob
from tfgen.evaluation.samples import of_samples, sampled_like
from tfgen.verbs import verbs_of
from tfgen.verbs.live import Live


def evaluate(model, dataset, recipe, split="test", k=1, limit=None, batch_size=128, samples=0, extractor=None, live=None):
    """Evaluates a model on a split.

    Args:
        model: a trained model.
        dataset: a `tfgen.data.Dataset`.
        recipe: the `Recipe`, which determines the data view.
        split: `train`, `validation` or `test`.
        k: number of importance samples of the bound, for models with `log_prob`.
        limit: maximum number of images; None uses all.
        batch_size: images per batch.
        samples: number of samples compared with the split's images; 0 skips that and the comparison of translations.
        extractor: feature extractor of these comparisons, see `tfgen.evaluation.features`; None uses a classifier of the
            data.
        live: the verbs of the model, where others have traced them already; None traces them anew.

    Returns:
        {"split", "images" (of fields "samples" or "pixels"), the model's losses} and, if applicable, the entries of
        `of_log_prob`; "samples": the dict of `tfgen.evaluation.of_samples`, and "weights", those that drew them;
        "translations": of `of_translations`; "similarity": of `of_views`; "detection": of `of_detection`; and
        "left_out": {measurement: reason} of measurements that failed.
    """
    batches = dataset.batches(split, batch_size, recipe.views(dataset, model)[1], limit)
    count = min(limit or dataset.spec.sizes[split], dataset.spec.sizes[split])
    figures = {"split": split, dataset.rows: count}
    figures |= {key: float(value) for key, value in model.evaluate(batches, verbose=0, return_dict=True).items()}
    live, attempt = live or Live(model), Attempts()
    chosen = functools.cache(lambda: extractor or features.classifier(dataset))
    measures = {
        "samples": bool(samples) and not dataset.spec.vectors and "sample" in live.names and (lambda: of_samples(
            sampled_like(live, dataset, split), dataset, chosen(), split, samples)
            | {"weights": model.weights_sampled}),
        "translations": bool(samples) and "translate" in live.names and (lambda: of_translations(
            live, dataset, split, limit, chosen())),
        "similarity": "render" in live.names and (lambda: of_views(live, dataset, split)),
        "detection": "score" in live.names and (lambda: of_detection(model, dataset, split, limit, batch_size))}
    for name, measure in measures.items():
        if measure and (found := attempt(name, measure)) is not None:
            figures[name] = found
    if "log_prob" in live.names:
        figures |= attempt("log_prob", of_log_prob, model, live, batches, batch_size, k, dataset.spec.levels,
                           default={})
    if UNNORMALISED in figures:
        figures.pop("elbo", None)
    if not has_bits(model, dataset.spec.levels):
        figures.pop("bits_per_dim", None)
    return figures | ({"left_out": attempt.left_out} if attempt.left_out else {})


def of_detection(model, dataset, split="test", limit=None, batch_size=128):
    """Detection performance on a split: ranking metrics, and precision, recall and false positive rate.

    Args:
        model: a model with `score` and `threshold`.
        dataset: a `tfgen.data.Dataset`; all images count as normal unless its view is `one_class`.
        split: `train`, `validation` or `test`.
        limit: maximum number of images; None uses all.
        batch_size: images per batch.

    Returns:
        The dict of `tfgen.metrics.detection`, or {} if the model is not calibrated and the data has no anomalies. If the
        data has masks and the model anomaly maps, also "pixel_auroc" and "aupro". Of vectors with anomalies also
        "baselines", the same of `tfgen.detection.baselines.of_vectors`.
    """
    scores = calibration.scores_of(model, dataset, split, batch_size, limit)
    anomalous = np.zeros(len(scores), bool)
    if dataset.spec.view == "one_class":
        anomalous = dataset.anomalous(split)[:limit]
    threshold = float(model.threshold)
    threshold = threshold if np.isfinite(threshold) else None
    figures = metrics.detection(anomalous, scores, threshold) if anomalous.any() or threshold is not None else {}
    masks = dataset.masks(split)
    if masks is not None and masks[:limit].any() and "anomaly_map" in verbs_of(model):
        maps = Live(model)("anomaly_map", stores.floats(dataset.drawn(split)[:limit]), batch_size=batch_size)
        figures |= {"pixel_auroc": metrics.pixel_auroc(masks[:limit], maps), "aupro": metrics.aupro(masks[:limit], maps)}
    if dataset.spec.vectors and anomalous.any():
        figures["baselines"] = {name: metrics.detection(anomalous, found)
                                for name, found in baselines.of_vectors(dataset, split, limit).items()}
    return figures


def of_views(live, dataset, split="test"):
    """The dict of `tfgen.metrics.similarity` of rendered views and the images of a split of posed images."""
    return metrics.similarity(live("render", dataset.poses[split], batch_size=1), dataset.views[split])


def of_translations(live, dataset, split="test", limit=None, extractor=None, batch_size=128):
    """Compares translations of a split with the target images (paired data) or with the target domain (unpaired data).

    Args:
        live: the verbs of a model, see `tfgen.serving.opening.open_verbs`.
        dataset: a `tfgen.data.Dataset` of paired or unpaired data.
        split: `train`, `validation` or `test`.
        limit: maximum number of images; None uses all.
        extractor: feature extractor, see `tfgen.evaluation.features`; None uses a classifier of the data.
        batch_size: images per batch.

    Returns:
        The dict of `tfgen.metrics.compare`; for paired data also the entries of `tfgen.metrics.similarity` and, if the
        extractor has one, the mean "perceptual_distance" of an image and its translation.
    """
    extractor = extractor or features.classifier(dataset)
    sources, images = stores.floats(dataset.sources(split, limit)), stores.floats(dataset.images(split)[:limit])
    made = live("translate", sources, batch_size=batch_size)
    paired = dataset.spec.view == "paired"
    figures = metrics.similarity(made, images) if paired else {}
    if paired and extractor.has_distance:
        figures["perceptual_distance"] = float(extractor.perceptual_distance(made, images, batch_size).mean(dtype=float))
    # Splits may be sorted, and metrics that compare parts expect an order without meaning; pairs stay pairs.
    orders = [np.random.default_rng(0 if paired else key).permutation(len(x)) for key, x in enumerate((images, made))]
    parts = (np.split(x[order], range(batch_size, len(x), batch_size)) for x, order in zip((images, made), orders))
    return figures | metrics.compare(*parts, extractor, paired=paired)

"""Figures of a trained model on a split of its data."""

import functools

import numpy as np

from tfgen import metrics, verbs
from tfgen.attempts import Attempts
from tfgen.detection import calibration

# What stands in the place of "elbo", "log_prob" and "bits_per_dim" where no probability is bounded.
UNNORMALISED = "negative_cross_entropy_bound"


def evaluate(model, dataset, recipe, split="test", k=1, limit=None, batch_size=128, samples=0, extractor=None):
    """Figures of a model on a split.

    Args:
        model: a trained model.
        dataset: a `tfgen.data.Dataset`.
        recipe: the `Recipe`, which says how the data is viewed.
        split: `train`, `validation` or `test`.
        k: importance samples of the bound, for models with `log_prob`.
        limit: images at most; None for all.
        samples: how many samples or translations are compared with the split's images; 0: none.
        extractor: of features for that comparison, see `tfgen.metrics.features`; None: a classifier of the data.

    Returns:
        {"split", "images", the model's losses, "k", "log_prob", "bits_per_dim", "active_units", "samples", "translations",
        "detection", "left_out"} as they apply: "log_prob" and what belongs to it as `of_log_prob` says, "samples" as
        `tfgen.metrics.of_samples`, "translations" and "detection" as `of_translations` and `of_detection`; "left_out"
        {what: why} could not be measured.
    """
    batches = dataset.batches(split, batch_size, recipe.views(dataset, model)[1], limit)
    count = min(limit or dataset.spec.sizes[split], dataset.spec.sizes[split])
    figures = {"split": split, "images": count}
    figures |= {key: float(value) for key, value in model.evaluate(batches, verbose=0, return_dict=True).items()}
    live, attempt = verbs.Live(model), Attempts()
    features = functools.cache(lambda: extractor or metrics.features.classifier(dataset))
    measures = {
        "samples": bool(samples) and "sample" in live.names and (lambda: metrics.of_samples(
            lambda seeds: live("sample", seeds), dataset, features(), split, samples)),
        "translations": bool(samples) and "translate" in live.names and (lambda: of_translations(
            live, dataset, split, limit, features())),
        "detection": "score" in live.names and (lambda: of_detection(model, dataset, split, limit, batch_size))}
    for name, measure in measures.items():
        if measure and (found := attempt(name, measure)) is not None:
            figures[name] = found
    if "log_prob" in live.names:
        figures |= attempt("log_prob", of_log_prob, model, live, batches, batch_size, k, default={})
    if UNNORMALISED in figures:
        figures.pop("elbo", None)
    return figures | ({"left_out": attempt.left_out} if attempt.left_out else {})


def of_log_prob(model, live, batches, batch_size=128, k=1):
    """What a model says of the likelihood of images.

    Args:
        model: with `log_prob`, and `bits_offset` where its nats are worth bits.
        live: its verbs.
        batches: of images, or of tuples that begin with images and their labels.
        batch_size: images at a time.
        k: importance samples, for a bound that takes them.

    Returns:
        {"log_prob": mean over images in nats, "bits_per_dim"}, and, as they apply, "k" and "active_units" of the codes.
        Where the model's likelihood is not normalised on these images {"negative_cross_entropy_bound"} instead of the first
        two: a Bernoulli is a probability of binary images, and on grey levels none (Loaiza-Ganem & Cunningham, 2019).
    """
    about, totals, codes, probability = live.options["log_prob"], [], [], True
    for batch in batches:
        x, options = batch, {}
        if isinstance(batch, tuple):
            x, options = batch[0], {"label": batch[1].numpy()} if "label" in about else {}
        samples = {"k": k} if "k" in about else {}
        totals.append(live("log_prob", x.numpy(), batch_size, **samples, **options))
        if "encode" in live.names:
            codes.append(live("encode", x.numpy(), batch_size, **options))
        probability = probability and (model.normalised or bool(np.isin(x, (0.0, 1.0)).all()))
    log_prob = float(np.mean(np.concatenate(totals), dtype=float))
    figures = ({"k": k} if "k" in about else {}) | {"log_prob" if probability else UNNORMALISED: log_prob}
    if probability:
        figures["bits_per_dim"] = float(metrics.bits_per_dim(log_prob, model.image_shape, model.bits_offset))
    return figures | ({"active_units": metrics.active_units(np.concatenate(codes))} if codes else {})


def of_detection(model, dataset, split="test", limit=None, batch_size=128):
    """How well a detector tells the anomalies of a split, and how often it calls normal images anomalous.

    Args:
        model: with `score` and `threshold`.
        dataset: a `tfgen.data.Dataset`; without anomalies (`one_class` data) all images count as normal.
        split: `train`, `validation` or `test`.
        limit: images at most; None for all.
        batch_size: images at a time.

    Returns:
        What `tfgen.metrics.detection` gives, {} for a model without a threshold and data without anomalies; with masks and
        maps "pixel_auroc" and "aupro", too.
    """
    scores = calibration.scores_of(model, dataset, split, batch_size, limit)
    anomalous = np.zeros(len(scores), bool)
    if dataset.spec.view == "one_class":
        anomalous = dataset.anomalous(split)[:limit]
    threshold = float(model.threshold)
    threshold = threshold if np.isfinite(threshold) else None
    figures = metrics.detection(anomalous, scores, threshold) if anomalous.any() or threshold is not None else {}
    masks = dataset.masks(split)
    if masks is not None and masks[:limit].any() and "anomaly_map" in verbs.verbs_of(model):
        maps = verbs.Live(model)("anomaly_map", dataset.images(split)[:limit].astype("float32") / 255.0, batch_size)
        figures |= {"pixel_auroc": metrics.pixel_auroc(masks[:limit], maps), "aupro": metrics.aupro(masks[:limit], maps)}
    return figures


def of_translations(live, dataset, split="test", limit=None, extractor=None, batch_size=128):
    """A model's translations of a split beside the images that they should be, or of the domain that they should be of.

    Args:
        live: verbs of a model, see `open_verbs`.
        dataset: a `tfgen.data.Dataset` of paired or unpaired data.
        split: `train`, `validation` or `test`.
        limit: images at most; None for all.
        extractor: of features; None: a classifier of the data.
        batch_size: images at a time.

    Returns:
        What `tfgen.metrics.compare` gives and, for paired data, what `tfgen.metrics.similarity` does.
    """
    extractor = extractor or metrics.features.classifier(dataset)
    sources = dataset.sources(split, limit).astype("float32") / 255.0
    images = dataset.images(split)[:limit].astype("float32") / 255.0
    made = live("translate", sources, batch_size)
    paired = dataset.spec.view == "paired"
    figures = metrics.similarity(made, images) if paired else {}
    parts = (np.split(x, range(batch_size, len(x), batch_size)) for x in (images, made))
    return figures | metrics.compare(*parts, extractor, paired=paired)

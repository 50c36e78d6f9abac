"""Sets a detector's threshold from held-out normal images."""

import math

import numpy as np

from tfgen.data import stores
from tfgen.detection import thresholds
from tfgen.verbs.live import Live

# The false positive rate that a threshold is set for, where none is asked for.
DEFAULT_FPR = 0.05
# Each fourth held-out image says what is usual, where there are at least 40; else training images do, 1,000 at most.
SETTLING, LEAST_TO_SETTLE, MOST_TO_SETTLE = 4, 40, 1000


def calibrate(model, dataset, fpr=None, batch_size=128):
    """Sets a detector's threshold from the validation split, which holds normal images that it was not trained on.

    First the model's `usual_terms` are rescaled to a mean of 1: on every fourth held-out image if there are at least 40, so
    that the threshold comes from the other images and keeps its exact guarantee, else on images of the training split.

    Args:
        model: with `score` and `threshold`.
        dataset: a `tfgen.data.Dataset`.
        fpr: share of normal images that may be called anomalous, see `thresholds.threshold`. None uses 0.05, or the
            smallest rate that the number of held-out images supports.
        batch_size: images per forward pass.

    Returns:
        {"asked_fpr", "threshold", "held_out": number of images that the threshold is of}.

    Raises:
        UserError: an fpr out of range, or too small for the number of images.
    """
    live, terms = Live(model), model.usual_terms()
    settling, held = held_out(model, dataset)
    settle(terms, stores.floats(settling), batch_size=batch_size)
    scores = np.concatenate([live("score", x, batch_size=batch_size) for x in stores.batches(held, batch_size)])
    if fpr is None:
        fpr = max(DEFAULT_FPR, math.ceil(1000 / (len(scores) + 1)) / 1000)
    model.threshold.assign(thresholds.threshold(scores, fpr))
    return {"asked_fpr": fpr, "threshold": float(model.threshold), "held_out": len(scores)}


def held_out(model, dataset):
    """Two parts of a detector's held-out normal images, uint8: those that settle its `usual_terms`, and the others.

    The others are `tfgen.data.stores.Shards` where the data set's images are.

    A threshold of the others alone keeps its guarantee. Without such terms the first part is empty.
    """
    held = dataset.images("validation")
    if not model.usual_terms():
        return held[:0], held
    spared = (np.arange(len(held)) % SETTLING == 0) & (len(held) >= LEAST_TO_SETTLE)
    return held[spared] if spared.any() else dataset.drawn("train")[:MOST_TO_SETTLE], stores.take(held, ~spared)


def settle(terms, x, batch_size=128):
    """Rescales terms, see `Detector.usual_terms`, to a mean of 1 over images x."""
    for part, values in terms:
        batches = np.split(x, range(batch_size, len(x), batch_size))
        part.rescale(np.average([np.mean(values(batch)) for batch in batches], weights=[len(batch) for batch in batches]))


def scores_of(model, dataset, split, batch_size=128, limit=None):
    """A model's scores of a split, float32 (N,)."""
    live = Live(model)
    batches = dataset.batches(split, batch_size, limit=limit)
    return np.concatenate([live("score", x.numpy(), batch_size=batch_size) for x in batches])

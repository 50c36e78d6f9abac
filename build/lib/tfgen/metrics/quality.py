"""Compares samples with real images: all distances between two streams of features, in one pass."""

import math

import numpy as np

from tfgen.errors import UserError
from tfgen.metrics.frechet import KernelDistance, Moments, frechet_distance
from tfgen.metrics.manifold import density_coverage, precision_recall
from tfgen.metrics.score import ClassifierScore, Modes

K_PRECISION_RECALL, K_DENSITY_COVERAGE = 3, 5
LEAST_IMAGES = K_DENSITY_COVERAGE + 1


class _Side:
    """One stream of images: features per batch, their moments and the first `limit` features."""

    def __init__(self, batches, extractor, limit):
        self.batches = iter(batches)
        self.extractor = extractor
        self.limit = limit
        self.moments = Moments()
        self.kept = []
        self.done = False

    def advance(self):
        """(features, probabilities) of the next batch, or None at the end of the stream."""
        images = next(self.batches, None)
        if images is None:
            self.done = True
            return None
        features, probabilities = self.extractor(np.asarray(images, np.float32))
        if (room := self.limit - self.moments.n) > 0:
            self.kept.append(features[:room])
        self.moments.update(features)
        return features, probabilities


def _consume(real, fake, kernel, of_fake):
    """Reads both streams alternately to their ends, so that the kernel distance buffers few rows."""
    while not (real.done and fake.done):
        real_is_next = not real.done and (fake.done or real.moments.n <= fake.moments.n)
        side, other = (real, fake) if real_is_next else (fake, real)
        if (read := side.advance()) is None:
            continue
        features, probabilities = read
        # Ignore surplus rows once the other stream has ended.
        if not other.done or side.moments.n - len(features) < other.moments.n:
            empty = features[:0]
            kernel.update(*((features, empty) if side is real else (empty, features)))
        if side is fake and probabilities is not None:
            for metric in of_fake:
                metric.update(probabilities)


def compare(real_batches, fake_batches, extractor, limit_manifold=5000, paired=False):
    """Distances between two sets of images; memory does not grow with their number.

    Args:
        real_batches, fake_batches: iterables of batches float32 (B, H, W, C) in [0, 1], in random order, at least 6
            images per side; the numbers of images may differ.
        extractor: one of `tfgen.evaluation.features`.
        limit_manifold: maximum number of features per side for precision, recall, density and coverage.
        paired: whether image i of one side depends on image i of the other, see `KernelDistance`.

    Returns:
        {"frechet_distance", "kernel_distance", "kernel_distance_error" (None for a single block), "precision",
        "recall", "density", "coverage"}; if the extractor has probabilities, "classifier_score", "modes" and
        "modes_entropy" of the fake images; "n_real", "n_fake", "n_manifold" (per side), "k_precision_recall",
        "k_density_coverage", and the extractor's `describe()`. Numbers of JSON types.

    Raises:
        UserError: fewer than 6 images per side, a limit below 6, or non-finite features.
    """
    if limit_manifold < LEAST_IMAGES:
        raise UserError(f"compare(limit_manifold) expects an int >= {LEAST_IMAGES}, received {limit_manifold!r}")
    real, fake = (_Side(batches, extractor, limit_manifold) for batches in (real_batches, fake_batches))
    kernel, score, found = KernelDistance(paired=paired), ClassifierScore(), Modes()
    _consume(real, fake, kernel, (score, found))
    n_manifold = min(real.moments.n, fake.moments.n, limit_manifold)
    if n_manifold < LEAST_IMAGES:
        raise UserError(f"compare expects at least {LEAST_IMAGES} images of each side, received {real.moments.n} real "
                         f"and {fake.moments.n} fake: give more")
    distance, error = kernel.result()
    values = {"frechet_distance": frechet_distance(real.moments, fake.moments), "kernel_distance": distance,
              "kernel_distance_error": None if math.isnan(error) else error}
    rows = [np.concatenate(side.kept)[:n_manifold] for side in (real, fake)]
    values |= precision_recall(*rows, k=K_PRECISION_RECALL) | density_coverage(*rows, k=K_DENSITY_COVERAGE)
    if score.n:
        values |= {"classifier_score": score.result()} | found.result()
    return values | {"n_real": real.moments.n, "n_fake": fake.moments.n, "n_manifold": n_manifold,
                     "k_precision_recall": K_PRECISION_RECALL, "k_density_coverage": K_DENSITY_COVERAGE,
                     **extractor.describe()}

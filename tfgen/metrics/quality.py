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
        extractor: one of `tfgen.metrics.features`.
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


def _sampled(sample, seeds, image_shape, batch_size):
    """Yields batches of `sample(seeds)` after checking shape and finiteness."""
    for start in range(0, len(seeds), batch_size):
        batch = seeds[start:start + batch_size]
        images = np.asarray(sample(batch), np.float32)
        if images.shape != (len(batch), *image_shape):
            raise UserError(f"samples expect shape {(len(batch), *image_shape)}, as the data set's images, "
                            f"received {images.shape}: compare with the data that the model was trained on")
        if not np.all(np.isfinite(images)):
            raise UserError(f"samples expect finite pixels, received NaN or infinity among images {start} to "
                            f"{start + len(batch) - 1}: the model has diverged, use an earlier checkpoint")
        yield images


def _shuffled(images, seed, n, batch_size):
    """Yields float32 batches of the first n of `images` (uint8) in a permutation given by the seed."""
    rows = np.random.default_rng(seed).permutation(len(images))[:n]
    for start in range(0, len(rows), batch_size):
        yield images[rows[start:start + batch_size]].astype(np.float32) / 255.0


def of_samples(sample, dataset, extractor, split="validation", n=10000, seed=0, batch_size=128):
    """Compares a model's samples with real images, see `compare`.

    Args:
        sample: function of seeds int64 (B,) that returns images (B, H, W, C) in [0, 1].
        dataset: `tfgen.data.Dataset`.
        extractor: one of `tfgen.metrics.features`.
        split: split of the real images, of which n (or all, if fewer) are used in an order drawn from `seed`.
        n: number of samples, >= 6. Distances depend on it: compare only values with equal n.
        seed: int in 0 ... 2^31 - 1; the samples' seeds are seed * 2^32 + 0 ... n - 1.
        batch_size: images per batch.

    Returns:
        The dict of `compare` with "split" and "seed".

    Raises:
        UserError: an unknown split, a number out of range, too few real images, or samples that are non-finite or differ
            in shape from the data set's images.
    """
    for what, value, least, most in (("n", n, LEAST_IMAGES, 2**32), ("seed", seed, 0, 2**31 - 1),
                                     ("batch_size", batch_size, 1, 2**31)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
            raise UserError(f"{what} expects an int in {least} ... {most}, received {value!r}: give one in that range")
    images = dataset.images(split)
    if len(images) < LEAST_IMAGES:
        raise UserError(f"the split {split!r} of {dataset.spec.name!r} expects at least {LEAST_IMAGES} images, "
                        f"received {len(images)}: use a larger split")
    seeds = (int(seed) << 32) + np.arange(n, dtype=np.int64)
    values = compare(_shuffled(images, seed, n, batch_size),
                     _sampled(sample, seeds, dataset.spec.image_shape, batch_size), extractor)
    return values | {"split": split, "seed": int(seed)}

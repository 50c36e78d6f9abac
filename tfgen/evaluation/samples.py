"""Compares a model's samples with the images of a split."""

import numpy as np

from tfgen.data import stores
from tfgen.errors import UserError
from tfgen.metrics.quality import LEAST_IMAGES, compare


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
        yield stores.floats(images[rows[start:start + batch_size]])


def sampled_like(live, dataset, split):
    """The function seeds -> samples of a model, for `of_samples`: a conditional one has the classes as often as the split.

    Args:
        live: the verbs of a model, see `tfgen.verbs.live.Verbs`.
        dataset: `tfgen.data.Dataset`.
        split: the split that its samples are compared with.
    """
    option, labels = live.options["sample"].get("label"), dataset.labels(split)
    if option is None or labels is None or len(set(np.bincount(labels, minlength=option.high + 1))) == 1:
        # Of classes that are equally frequent, a label is the seed's, in turns.
        return lambda seeds: live("sample", seeds)
    labels = np.random.default_rng(0).permutation(labels)
    return lambda seeds: live("sample", seeds, label=labels[(seeds & 0xFFFFFFFF) % len(labels)])


def of_samples(sample, dataset, extractor, split="validation", n=10000, seed=0, batch_size=128):
    """Compares a model's samples with real images, see `compare`.

    Args:
        sample: function of seeds int64 (B,) that returns images (B, H, W, C) in [0, 1].
        dataset: `tfgen.data.Dataset`.
        extractor: one of `tfgen.evaluation.features`.
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
    images = dataset.drawn(split)
    if len(images) < LEAST_IMAGES:
        raise UserError(f"the split {split!r} of {dataset.spec.name!r} expects at least {LEAST_IMAGES} images, "
                        f"received {len(images)}: use a larger split")
    seeds = (int(seed) << 32) + np.arange(n, dtype=np.int64)
    values = compare(_shuffled(images, seed, n, batch_size),
                     _sampled(sample, seeds, dataset.spec.image_shape, batch_size), extractor)
    return values | {"split": split, "seed": int(seed)}

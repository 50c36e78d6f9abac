"""Log-likelihoods, or their bounds, of the images of a split."""

import math

import numpy as np

from tfgen import metrics
from tfgen.models import VAE

# Replaces "elbo", "log_prob" and "bits_per_dim" if the likelihood is not a normalised probability of the images.
UNNORMALISED = "negative_cross_entropy_bound"


def is_probability(normalised, x):
    """Whether `log_prob` of images x belongs to a normalised distribution: `normalised`, or all values are 0 or 1."""
    return normalised or bool(np.isin(x, (0.0, 1.0)).all())


def has_bits(model, levels):
    """Whether a model has bits per value of images of so many grey levels.

    Vectors have none, nor has a density that changes much from one level to the next: times their distance it is no
    probability. By Poisson's summation formula, a Gaussian adds up to 1 +- 2 exp(-2 (pi sigma (levels - 1))^2): 0.0009 at a
    distance of 1.6 sigma.
    """
    if len(model.image_shape) != 3 or not getattr(model, "bits_offset", 0.0):
        return len(model.image_shape) == 3
    likelihood = getattr(model, "likelihood", None)
    return levels == 256 if likelihood is None else 1.0 <= 1.6 * likelihood.narrowest * (levels - 1)


def of_log_prob(model, live, batches, batch_size=128, k=1, levels=256):
    """Log-likelihood (or its bound) of images under a model.

    Args:
        model: a model with `log_prob`, `normalised` and `bits_offset`.
        live: `verbs.live.Live` of the model.
        batches: batches of images, or of tuples (images, labels, …).
        batch_size: images per batch.
        k: number of importance samples, used if `log_prob` has the option.
        levels: grey levels per value, 1 / (levels - 1) apart: a density has log2(levels - 1) bits per value more.

    Returns:
        {"log_prob": mean over images in nats, "bits_per_dim"} and, if applicable, "k" and, of a VAE, "active_units": a flow
        has none, as all of its latents are active. Not all have bits, see `has_bits`.
        If the likelihood is not normalised on these images, "negative_cross_entropy_bound" replaces the first two: a
        Bernoulli is a probability of binary images, but not of grey levels (Loaiza-Ganem & Cunningham, 2019).
    """
    about, totals, codes, probability = live.options["log_prob"], [], [], True
    has_posterior = isinstance(model, VAE)
    for batch in batches:
        x, options = batch, {}
        if isinstance(batch, tuple):
            x, options = batch[0], {"label": batch[1].numpy()} if "label" in about else {}
        samples = {"k": k} if "k" in about else {}
        totals.append(live("log_prob", x.numpy(), batch_size=batch_size, **samples, **options))
        if has_posterior:
            codes.append(live("encode", x.numpy(), batch_size=batch_size, **options))
        probability = probability and is_probability(model.normalised, x)
    log_prob = float(np.mean(np.concatenate(totals), dtype=float))
    figures = ({"k": k} if "k" in about else {}) | {"log_prob" if probability else UNNORMALISED: log_prob}
    if probability and has_bits(model, levels):
        offset = math.log2(levels - 1) if model.bits_offset else 0.0  # `bits_offset` is that of 256 levels
        figures["bits_per_dim"] = float(metrics.bits_per_dim(log_prob, model.image_shape, offset))
    return figures | ({"active_units": metrics.active_units(np.concatenate(codes))} if codes else {})

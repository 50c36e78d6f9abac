"""Sheets of samples: interpolations between latents, sweeps of an option, one row per class.

Each function takes a `verbs.live.Live` (or an `serving.saved_model.Served`) and returns images (rows, columns, H, W, C).
"""

import numpy as np

from tfgen import latent
from tfgen.distributions import priors
from tfgen.errors import UserError, did_you_mean, require
from tfgen.seeds import of_samples
from tfgen.verbs import Text


def interpolation(live, seeds, steps=8, **options):
    """Interpolates between the latents of pairs of seeds: spherically for normal latents, else linearly.

    Args:
        live: a model in memory with `sample` and `decode`.
        seeds: int64 (2 N,); row i interpolates from seeds[2 i] to seeds[2 i + 1].
        steps: images per row, both ends included, >= 2.
        **options: options of `decode`, such as label: one value, or one per row.

    Raises:
        UserError: for a model without a prior and `decode`, or an odd number of seeds.
    """
    prior = getattr(getattr(live, "model", None), "prior", None)
    if prior is None or "decode" not in live.names:
        raise UserError("an interpolation expects a run whose model has a prior and the verb decode; "
                        f"this model has {', '.join(live.names)}")
    if len(seeds) < 2 or len(seeds) % 2:
        raise UserError(f"an interpolation expects pairs of seeds, received {len(seeds)}")
    codes = np.asarray(prior.seeded(np.asarray(seeds, np.int64), live.latent_shape[0]))
    way = latent.spherical if isinstance(prior, priors.Normal) else latent.linear
    rows = np.stack([way(a, b, steps) for a, b in zip(codes[::2], codes[1::2])])  # (N, steps, d)
    spread = {key: np.repeat(value, steps) if np.ndim(value) else value for key, value in options.items()}
    return _rows(live("decode", rows.reshape(-1, rows.shape[-1]), **spread), len(rows))


def sweep(live, option, seeds, values=None, **options):
    """Samples for several values of an option: one row per seed, one column per value.

    Args:
        live: a model with `sample`.
        option: name of the option: `truncation`, `psi`, `code_1`, `label`, …
        seeds: int64 (N,).
        values: values of the option; None uses 8 values over its range, or all values of a small integer range.
        **options: other options of `sample`, one value each.

    Raises:
        UserError: for an option that the model's `sample` does not have, or without values one whose range is not known.
    """
    known = live.options.get("sample", {})
    if option not in known:
        raise UserError(f"'sample' of this model has no option '{option}'{did_you_mean(option, known)}; "
                        f"it has {', '.join(known) or 'none'}")
    if values is None and isinstance(known[option], Text):
        raise UserError(f"a sweep expects an option with a range of numbers, '{option}' is a text: give values")
    if values is None and not known[option].told:
        raise UserError(f"a sweep expects an option with a known range, received '{option}' of a server that does not tell "
                        "it: give values, or the run or SavedModel")
    values = sweep_values(known[option]) if values is None else np.asarray(values)
    columns = [live("sample", np.asarray(seeds), **options, **{option: value}) for value in values]
    return np.stack(columns, axis=1)


def sweep_values(option):
    """Values spanning the option's range, whole ones of whole numbers, excluding the sentinel default that means "draw from
    the seed": the lowest value, below 0."""
    low = option.low
    if option.default == option.low < 0:
        low = 0 if option.dtype == "int64" else -option.high
    if option.dtype != "int64":
        return np.linspace(low, option.high, 8)
    return np.arange(low, option.high + 1) if option.high - low < 20 else np.unique(
        np.linspace(low, option.high, 8).round().astype(np.int64))


def classes(live, columns=8, seed=0, **options):
    """Samples with one row per class; all images of a column share a seed.

    Raises:
        UserError: for a model that is not conditional, or a server that does not tell how many classes there are.
    """
    about = live.options.get("sample", {}).get("label")
    if about is None:
        raise UserError("class rows expect a conditional model; this one's samples take no label")
    require(about.told, "class rows expect a known number of classes, received a server that does not tell it: draw one "
                        "class with --label N, or give the run or SavedModel")
    labels = np.arange(about.low, about.high + 1)
    seeds = np.tile(of_samples(seed, columns), len(labels))
    return _rows(live("sample", seeds, label=np.repeat(labels, columns), **options), len(labels))


def _rows(images, rows):
    return images.reshape(rows, -1, *images.shape[1:])

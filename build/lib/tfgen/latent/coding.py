"""What the tools for latent spaces share: options of verbs, encoding and decoding in rows."""

import numpy as np

from tfgen import pictures
from tfgen.errors import UserError
from tfgen.verbs.live import resolve_options


def options_of(live, names, rows, given):
    """For each verb, {option: one value per row}, from `given` and the defaults.

    Raises:
        UserError: for a missing verb, an option that no verb accepts, or invalid values.
    """
    if missing := [name for name in names if name not in live.names]:
        raise UserError(f"expected a model that can {' and '.join(names)}, received one without '{missing[0]}'; "
                        f"it has {', '.join(live.names)}")
    if getattr(live, "latent_dtype", "float32") != "float32":
        raise UserError("expected a model whose latents are vectors, received one whose latents are codes, with nothing in "
                        "between: use encode, decode and sample")
    known = {key for name in names for key in live.options[name]}
    if unknown := sorted(set(given) - known):
        raise UserError(f"{' and '.join(names)} of this model take no option '{unknown[0]}'; they take "
                        f"{', '.join(sorted(known)) or 'none'}")
    try:
        return [resolve_options(live, name, rows, {key: given[key] for key in given if key in live.options[name]})
                for name in names]
    except ValueError as error:
        raise UserError(str(error)) from None


def encode(live, images, encoding):
    return live("encode", np.asarray(images, np.float32), **encoding)


def decode_rows(live, codes, decoding, path):
    """Decodes codes (N, K, *latent) with options of N values each; writes N rows of K images."""
    rows, columns = codes.shape[:2]
    images = live("decode", codes.reshape(-1, *codes.shape[2:]).astype(np.float32),
                  **{key: np.repeat(column, columns) for key, column in decoding.items()})
    if path is not None:
        pictures.save_grid(path, images, columns)
    return images.reshape(rows, columns, *images.shape[1:])

"""Tools for latent spaces: paths between codes, attributes, manifolds, priors fitted after training, projections.

They use the verbs `encode` and `decode` of a `verbs.live.Live` (a model in memory) or a `serving.saved_model.Served`.
`**options` are options of the verbs, such as `label`; each is passed to the verbs that accept it.
"""

import numpy as np

from tfgen.errors import UserError
from tfgen.latent.coding import decode_rows, encode, options_of


def linear(a, b, steps):
    """Equally spaced points of the straight line between two latents: (1 - t) a + t b.

    Args:
        a, b: latents of one shape.
        steps: number of points, both ends included; at least 2.

    Returns:
        (steps, *latent).

    Raises:
        UserError: for different shapes or fewer than 2 steps.
    """
    a, b, t = _ends(a, b, steps)
    return ((1 - t) * a + t * b).astype(a.dtype)


def spherical(a, b, steps):
    """Points of the arc between two latents, at equal angles: sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b.

    w is the angle between the flattened a and b. Samples of a high-dimensional Gaussian lie near a sphere, so that points
    on an arc are as probable as its ends, unlike points on a straight line (White, 2016, "Sampling generative
    networks", arXiv:1609.04468). If a and b are (nearly) parallel, opposite or zero, falls back to `linear`.
    Arguments, returns and errors as for `linear`.
    """
    a, b, t = _ends(a, b, steps)
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(np.sum(a.astype(float) * b) / norms, -1, 1)) if norms > 0 else 0.0
    if np.sin(angle) < 1e-4:
        return linear(a, b, steps)
    weight_a, weight_b = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    return (weight_a * a + weight_b * b).astype(a.dtype)


def interpolate(live, images_a, images_b, steps=8, path=None, kind=spherical, **options):
    """Interpolates between the codes of pairs of images and decodes the points.

    Args:
        live: a model with `encode` and `decode`.
        images_a, images_b: (N, H, W, C), the two ends of each row.
        steps: images per row, both ends included.
        path: file for a picture with one row per pair; None writes none.
        kind: `spherical`, `linear` or a function (a, b, steps) -> (steps, *latent).
        **options: options of the verbs: one value, or one per pair.

    Returns:
        (N, steps, H, W, C).

    Raises:
        UserError: for verbs or options that the model does not have, no images, or different shapes.
    """
    if np.shape(images_a) != np.shape(images_b) or not len(images_a):
        raise UserError("interpolate expects as many images at both ends, at least one, of one shape, received "
                        f"{np.shape(images_a)} and {np.shape(images_b)}")
    encoding, decoding = options_of(live, ("encode", "decode"), len(images_a), options)
    codes_a, codes_b = (encode(live, images, encoding) for images in (images_a, images_b))
    codes = np.stack([kind(a, b, steps) for a, b in zip(codes_a, codes_b)])  # (N, steps, *latent)
    return decode_rows(live, codes, decoding, path)


def attribute_vector(live, images_with, images_without, **options):
    """Attribute direction in latent space: mean code of images with the attribute minus mean code of images without.

    Larsen et al., 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300.

    Args:
        live: a model with `encode`.
        images_with, images_without: (N, H, W, C) and (M, H, W, C).
        **options: options of `encode`: one value, or N + M values.

    Returns:
        An array with the shape of one latent.

    Raises:
        UserError: if either set is empty, or for a verb or option that the model does not have.
    """
    if not len(images_with) or not len(images_without):
        raise UserError("attribute_vector expects images with and without the attribute, received "
                        f"{len(images_with)} and {len(images_without)}")
    images = np.concatenate([images_with, images_without])
    encoding, = options_of(live, ("encode",), len(images), options)
    codes = encode(live, images, encoding).astype(float)
    return (codes[:len(images_with)].mean(0) - codes[len(images_with):].mean(0)).astype(np.float32)


def add_attribute(live, images, vector, amounts, path=None, **options):
    """Latent arithmetic: decode(encode(x) + amount * vector).

    Args:
        live: a model with `encode` and `decode`.
        images: (N, H, W, C).
        vector: attribute direction with the shape of one latent.
        amounts: (K,) multiples of `vector`; 0 gives the reconstruction, negative values remove the attribute.
        path: file for a picture with one row per image and one column per amount; None writes none.
        **options: options of the verbs: one value, or one per image.

    Returns:
        (N, K, H, W, C).

    Raises:
        UserError: without images or amounts, for a vector of another shape, or a verb or option that the model does
            not have.
    """
    amounts = np.asarray(amounts, np.float32)
    if not len(images) or amounts.ndim != 1 or not amounts.size:
        raise UserError("add_attribute expects at least one image and a list of amounts, received "
                        f"{len(images)} images and amounts of shape {amounts.shape}")
    encoding, decoding = options_of(live, ("encode", "decode"), len(images), options)
    codes = encode(live, images, encoding)
    if np.shape(vector) != codes.shape[1:]:
        raise UserError(f"add_attribute expects a vector of the latents' shape {codes.shape[1:]}, "
                        f"received {np.shape(vector)}; make it with attribute_vector of the same model")
    moves = amounts.reshape(-1, *(1,) * (codes.ndim - 1)) * np.asarray(vector, np.float32)  # (K, *latent)
    return decode_rows(live, codes[:, None] + moves, decoding, path)


def _ends(a, b, steps):
    """Both latents as floats, and t in [0, 1] of shape (steps, 1, …) that broadcasts with them."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or steps < 2:
        raise UserError("an interpolation expects two latents of one shape and at least 2 steps, received "
                        f"{a.shape}, {b.shape} and {steps}")
    dtype = np.result_type(a, b, np.float32)
    return a.astype(dtype), b.astype(dtype), np.linspace(0, 1, steps).reshape(-1, *(1,) * a.ndim)

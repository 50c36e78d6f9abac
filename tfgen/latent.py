"""Tools for latent spaces: paths between codes, attributes, manifolds, priors fitted after training, projections.

They use the verbs `encode` and `decode` of a `verbs.Live` (a model in memory) or an `export.Served` (a SavedModel).
`**options` are options of the verbs, such as `label`; each is passed to the verbs that accept it.
"""

import statistics

import numpy as np
import tensorflow as tf

from tfgen import pictures, plots
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.errors import UserError
from tfgen.verbs import resolve_options


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
    encoding, decoding = _options(live, ("encode", "decode"), len(images_a), options)
    codes_a, codes_b = (_encode(live, images, encoding) for images in (images_a, images_b))
    codes = np.stack([kind(a, b, steps) for a, b in zip(codes_a, codes_b)])  # (N, steps, *latent)
    return _decode_rows(live, codes, decoding, path)


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
    encoding, = _options(live, ("encode",), len(images), options)
    codes = _encode(live, images, encoding).astype(float)
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
    encoding, decoding = _options(live, ("encode", "decode"), len(images), options)
    codes = _encode(live, images, encoding)
    if np.shape(vector) != codes.shape[1:]:
        raise UserError(f"add_attribute expects a vector of the latents' shape {codes.shape[1:]}, "
                        f"received {np.shape(vector)}; make it with attribute_vector of the same model")
    moves = amounts.reshape(-1, *(1,) * (codes.ndim - 1)) * np.asarray(vector, np.float32)  # (K, *latent)
    return _decode_rows(live, codes[:, None] + moves, decoding, path)


def manifold_latents(side=20, extent=0.95):
    """Grid of 2-D latents, equally spaced in probability under the standard Gaussian.

    z = inverse normal CDF of a regular grid over the central `extent` of (0, 1) in both coordinates. Row 0 is the
    top of the picture: z1 increases to the right, z2 upwards.

    Args:
        side: number of points per axis, at least 2.
        extent: probability covered by each axis, in (0, 1); 0.95 spans -1.96 to 1.96.

    Returns:
        float32 (side, side, 2).

    Raises:
        UserError: for a side or an extent out of range.
    """
    if side < 2 or not 0 < extent < 1:
        raise UserError(f"manifold expects a side of at least 2 and an extent between 0 and 1, received {side} and "
                        f"{extent}")
    quantiles = np.linspace((1 - extent) / 2, (1 + extent) / 2, side)
    line = np.array([statistics.NormalDist().inv_cdf(q) for q in quantiles], np.float32)
    return np.stack(np.meshgrid(line, line[::-1]), -1)


def manifold(live, side=20, path=None, extent=0.95, **options):
    """Decodes a grid over the latent plane of a model with 2-D latents (Kingma & Welling, 2013, arXiv:1312.6114, fig. 4).

    Args:
        live: a model with `decode` and latents of shape (2,).
        side, extent: as for `manifold_latents`.
        path: file for a picture without gaps between tiles; None writes none.
        **options: options of `decode`, one value each; the others use their default or lowest value.

    Returns:
        (side, side, H, W, C), row 0 with the largest z2.

    Raises:
        UserError: for latents of another shape, or a verb or option that the model does not have.
    """
    latents = manifold_latents(side, extent)
    decoding, = _options(live, ("decode",), 1, options)
    shape = getattr(live, "latent_shape", None) or getattr(getattr(live, "model", None), "latent_shape", None) or (2,)
    if tuple(shape) != (2,):
        raise UserError(f"manifold expects a model with two-dimensional latents, received latents of shape "
                        f"{tuple(shape)}; train with latent_dim=2 or use plot_codes")
    try:
        live("decode", latents[0, :1], **decoding)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise UserError("manifold expects a model with two-dimensional latents, received one that does not decode "
                        "them; train with latent_dim=2 or use plot_codes") from error
    decoding = {key: np.repeat(column, side * side) for key, column in decoding.items()}
    images = live("decode", latents.reshape(-1, 2), **decoding)
    if path is not None:
        pictures.save_image(path, pictures.grid(images, side, padding=0))
    return images.reshape(side, side, *images.shape[1:])


def sample_autoencoder(live, codes, seeds, path=None, components=10, **options):
    """Samples from an autoencoder without a prior: decodes samples of a Gaussian mixture fitted to its codes.

    Args:
        live: a model with `decode`.
        codes: (N, *latent), encodings of training images.
        seeds: whole numbers (B,); image i depends only on seed i and the codes.
        path: file for the picture; None writes none.
        components: maximum number of mixture components.
        **options: options of `decode`: one value, or one per seed.

    Returns:
        (B, H, W, C).

    Raises:
        UserError: as `GaussianMixturePrior`, or for a verb or option that the model does not have.
    """
    decoding, = _options(live, ("decode",), len(seeds), options)
    images = live("decode", GaussianMixturePrior(components).fit(codes).sample(seeds), **decoding)
    if path is not None:
        pictures.save_grid(path, images)
    return images


def project(codes, method="pca", seed=0):
    """Projects codes to 2-D points.

    Args:
        codes: (N, *latent), N >= 2 for `"pca"`, N >= 5 for `"tsne"`.
        method: `"pca"`, the first two principal components; or `"tsne"` (van der Maaten & Hinton, 2008) of the first 50
            principal components with perplexity 30 (less for few codes); t-SNE preserves neighbourhoods only.
        seed: seed of the projection.

    Returns:
        float32 (N, 2).

    Raises:
        UserError: for another method, too few codes, or non-finite codes.
    """
    least = {"pca": 2, "tsne": 5}
    if method not in least:
        raise UserError(f"project expects the method 'pca' or 'tsne', received '{method}'")
    codes = np.asarray(codes, float)
    if codes.ndim < 2 or len(codes) < least[method] or not np.isfinite(codes).all():
        raise UserError(f"project by '{method}' expects at least {least[method]} finite codes, received shape "
                        f"{codes.shape}, {int(np.sum(~np.isfinite(codes)))} values not finite")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    flat = codes.reshape(len(codes), -1)
    width = min(2 if method == "pca" else 50, *flat.shape)
    if not np.ptp(flat, 0).any():  # a collapsed encoder: no direction to project on
        return np.zeros((len(flat), 2), np.float32)
    flat = PCA(width, random_state=seed).fit_transform(flat)
    if method == "tsne":
        flat = TSNE(2, perplexity=min(30.0, (len(flat) - 1) / 3), init="pca" if width > 1 else "random",
                    random_state=seed).fit_transform(flat)
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)


def plot_codes(live, images, labels, path, method=None, class_names=(), title="", seed=0, **options):
    """Scatter plot of the codes of images, coloured by class.

    Args:
        live: a model with `encode`.
        images: (N, H, W, C).
        labels: (N,) classes, or None.
        path: file for the picture.
        method: `"pca"` or `"tsne"`; None plots 2-D codes directly, with the sigma circles of the standard Gaussian, and
            projects others by PCA.
        class_names, title: as for `plots.scatter`.
        seed: seed of the projection.
        **options: options of `encode`: one value, or one per image.

    Returns:
        The plotted points, (N, 2).

    Raises:
        UserError: as `project` and `plots.scatter`, or for a verb or option that the model does not have.
    """
    encoding, = _options(live, ("encode",), len(images), options)
    codes = _encode(live, images, encoding)
    if method is None and codes.shape[1:] == (2,):
        plots.scatter(path, codes, labels, class_names, title, circle=True)
        return codes
    points = project(codes, method or "pca", seed)
    name = "t-SNE" if method == "tsne" else "principal component"
    plots.scatter(path, points, labels, class_names, title, axis_names=(f"{name} 1", f"{name} 2"))
    return points


def _ends(a, b, steps):
    """Both latents as floats, and t in [0, 1] of shape (steps, 1, …) that broadcasts with them."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or steps < 2:
        raise UserError("an interpolation expects two latents of one shape and at least 2 steps, received "
                        f"{a.shape}, {b.shape} and {steps}")
    dtype = np.result_type(a, b, np.float32)
    return a.astype(dtype), b.astype(dtype), np.linspace(0, 1, steps).reshape(-1, *(1,) * a.ndim)


def _options(live, names, rows, given):
    """For each verb, {option: one value per row}, from `given` and the defaults.

    Raises:
        UserError: for a missing verb, an option that no verb accepts, or invalid values.
    """
    if missing := [name for name in names if name not in live.names]:
        raise UserError(f"expected a model that can {' and '.join(names)}, received one without '{missing[0]}'; "
                        f"it has {', '.join(live.names)}")
    known = {key for name in names for key in live.options[name]}
    if unknown := sorted(set(given) - known):
        raise UserError(f"{' and '.join(names)} of this model take no option '{unknown[0]}'; they take "
                        f"{', '.join(sorted(known)) or 'none'}")
    try:
        return [resolve_options(live, name, rows, {key: given[key] for key in given if key in live.options[name]})
                for name in names]
    except ValueError as error:
        raise UserError(str(error)) from None


def _encode(live, images, encoding):
    return live("encode", np.asarray(images, np.float32), **encoding)


def _decode_rows(live, codes, decoding, path):
    """Decodes codes (N, K, *latent) with options of N values each; writes N rows of K images."""
    rows, columns = codes.shape[:2]
    images = live("decode", codes.reshape(-1, *codes.shape[2:]).astype(np.float32),
                  **{key: np.repeat(column, columns) for key, column in decoding.items()})
    if path is not None:
        pictures.save_grid(path, images, columns)
    return images.reshape(rows, columns, *images.shape[1:])

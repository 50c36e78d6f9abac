"""Two-dimensional views of a latent space: manifolds of decoded images, projections of codes."""

import statistics

import numpy as np
import tensorflow as tf

from tfgen import pictures
from tfgen.errors import UserError
from tfgen.latent.coding import encode, options_of
from tfgen.pictures import scatter


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
    decoding, = options_of(live, ("decode",), 1, options)
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
    encoding, = options_of(live, ("encode",), len(images), options)
    codes = encode(live, images, encoding)
    if method is None and codes.shape[1:] == (2,):
        scatter.scatter(path, codes, labels, class_names, title, circle=True)
        return codes
    points = project(codes, method or "pca", seed)
    name = "t-SNE" if method == "tsne" else "principal component"
    scatter.scatter(path, points, labels, class_names, title, axis_names=(f"{name} 1", f"{name} 2"))
    return points

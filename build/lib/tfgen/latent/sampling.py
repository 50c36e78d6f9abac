"""Samples of an autoencoder without a prior."""

from tfgen import pictures
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.latent.coding import options_of


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
    decoding, = options_of(live, ("decode",), len(seeds), options)
    images = live("decode", GaussianMixturePrior(components).fit(codes).sample(seeds), **decoding)
    if path is not None:
        pictures.save_grid(path, images)
    return images

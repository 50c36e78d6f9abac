"""Networks, likelihoods and scales that suit the data of a recipe: images, or vectors (windows of a series among them)."""

import math

from tfgen.distributions import Gaussian, Standardised
from tfgen.networks import conv, mlp
from tfgen.recipes.hyperparameters import encoder_channels


def scaling(spec):
    """(location, scale) by which networks standardise vectors; None for images."""
    return (spec.location, spec.scale) if spec.vectors else None


def likelihood(spec, of_images):
    """The likelihood of images, or for vectors a Gaussian of standard deviation 1 of their standardised values."""
    return standardised(spec, Gaussian(1.0, bounded=False)) if spec.vectors else of_images


def standardised(spec, likelihood):
    """A likelihood of vectors, by one of their standardised values."""
    return Standardised(likelihood, spec.location, spec.scale)


def narrow(spec, default):
    """A default for the number of latents; for vectors at most half of their values, so that the code is a narrow one."""
    return max(1, min(default, math.prod(spec.image_shape) // 2)) if spec.vectors else default


def hidden(hp, units=256, layers=2):
    """Units of the hidden layers of a fully connected network: hyperparameters `units` and `hidden_layers`."""
    return [hp.Int("units", 4, 2048, default=units)] * hp.Int("hidden_layers", 0, 8, default=layers)


def coders(hp, spec, latent_dim, statistics=1, parameters=1, **labels):
    """(encoder, decoder) with a flat code of `latent_dim` values: convolutional for images, fully connected for vectors.

    Args:
        hp: hyperparameters `filters` and `levels`, for vectors `units` and `hidden_layers`, and `latent_dim`.
        spec: the data.
        latent_dim: function of `hp` that gives the number of latents, called after the widths.
        statistics: values that the encoder gives per latent.
        parameters: parameters that the decoder gives per value.
        **labels: `num_classes` of networks that also take labels.
    """
    *sides, channels = spec.image_shape
    if spec.vectors:
        units, latent = hidden(hp), latent_dim(hp)
        return (mlp.encoder(spec.image_shape, units, statistics * latent, scaling=scaling(spec), **labels),
                mlp.decoder(latent, units[::-1], (*sides, channels * parameters), **labels))
    widths, latent = encoder_channels(hp), latent_dim(hp)
    return (conv.encoder(spec.image_shape, widths, statistics * latent, **labels),
            conv.decoder(latent, widths[::-1], (*sides, channels * parameters), **labels))

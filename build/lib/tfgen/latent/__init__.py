"""Latent spaces of trained models: interpolation, attributes, planes, samples of autoencoders, sheets, search (PULSE).

The tools use the verbs `encode` and `decode` of a `verbs.live.Live` (a model in memory) or a `serving.saved_model.Served`.
"""

from tfgen.latent import pulse, sheets
from tfgen.latent.interpolation import add_attribute, attribute_vector, interpolate, linear, spherical
from tfgen.latent.planes import manifold, manifold_latents, plot_codes, project
from tfgen.latent.sampling import sample_autoencoder

__all__ = ["add_attribute", "attribute_vector", "interpolate", "linear", "manifold", "manifold_latents", "plot_codes",
           "project", "pulse", "sample_autoencoder", "sheets", "spherical"]

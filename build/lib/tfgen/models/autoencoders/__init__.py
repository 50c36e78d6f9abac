"""Autoencoders, plain and variational."""

from tfgen.models.autoencoders.autoencoder import Autoencoder
from tfgen.models.autoencoders.hierarchical_vae import HierarchicalVAE
from tfgen.models.autoencoders.stacked import StackedAutoencoder
from tfgen.models.autoencoders.vae import VAE

__all__ = ["Autoencoder", "HierarchicalVAE", "StackedAutoencoder", "VAE"]

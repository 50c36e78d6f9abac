"""Autoencoders, plain and variational."""

from tfgen.models.autoencoders.autoencoder import Autoencoder
from tfgen.models.autoencoders.stacked import StackedAutoencoder
from tfgen.models.autoencoders.vae import VAE

__all__ = ["Autoencoder", "StackedAutoencoder", "VAE"]

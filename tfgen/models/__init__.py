"""One file per training procedure."""

from tfgen.models.autoencoder import Autoencoder
from tfgen.models.stacked import StackedAutoencoder
from tfgen.models.vae import VAE

__all__ = ["Autoencoder", "StackedAutoencoder", "VAE"]

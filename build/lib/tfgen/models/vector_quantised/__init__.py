"""Models of discrete codes: an autoencoder whose latents are codes, and a distribution over the codes."""

from tfgen.models.vector_quantised.dalle import DALLE
from tfgen.models.vector_quantised.prior import CodePrior
from tfgen.models.vector_quantised.vqgan import VQGAN
from tfgen.models.vector_quantised.vqvae import VQVAE

__all__ = ["DALLE", "CodePrior", "VQGAN", "VQVAE"]

"""One file per training procedure, one folder per family."""

from tfgen.models.autoencoders import VAE, Autoencoder, HierarchicalVAE, StackedAutoencoder
from tfgen.models.autoregressive import Autoregressive, MaskEnsemble
from tfgen.models.base import AdversarialModel, GenerativeModel
from tfgen.models.detectors import (
    DRAEM,
    AnomalyAutoencoder,
    AnomalyVAE,
    DeepSVDD,
    FAnoGAN,
    GANomaly,
    PaDiM,
    RegionInpainter,
    SkipGANomaly,
)
from tfgen.models.diffusion import AutoguidedDiffusion, Diffusion, DiscreteDiffusion, GuidedDiffusion
from tfgen.models.fields import GON, Field, NeRF
from tfgen.models.flows import Flow
from tfgen.models.gans import (
    AAE,
    ACGAN,
    BEGAN,
    EBGAN,
    GAN,
    InfoGAN,
    ProGAN,
    StackGAN,
    StagedGAN,
    StyleGAN,
)
from tfgen.models.translation import CycleGAN, Pix2Pix
from tfgen.models.vector_quantised import DALLE, VQGAN, VQVAE, CodePrior

__all__ = ["AAE", "ACGAN", "AdversarialModel", "AnomalyAutoencoder", "AnomalyVAE", "Autoencoder", "AutoguidedDiffusion",
           "Autoregressive", "BEGAN", "CodePrior", "CycleGAN", "DALLE", "DRAEM", "DeepSVDD", "Diffusion",
           "DiscreteDiffusion", "EBGAN", "FAnoGAN", "Field", "Flow", "GAN", "GANomaly", "GON", "GenerativeModel",
           "GuidedDiffusion", "HierarchicalVAE", "InfoGAN", "MaskEnsemble", "NeRF", "PaDiM", "Pix2Pix", "ProGAN",
           "RegionInpainter", "SkipGANomaly", "StackGAN", "StackedAutoencoder", "StagedGAN", "StyleGAN", "VAE", "VQGAN",
           "VQVAE"]

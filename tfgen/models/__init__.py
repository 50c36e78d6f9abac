"""One file per training procedure."""

from tfgen.models.aae import AAE
from tfgen.models.autoencoder import AnomalyAutoencoder, Autoencoder
from tfgen.models.cyclegan import CycleGAN
from tfgen.models.deep_svdd import DeepSVDD
from tfgen.models.draem import DRAEM
from tfgen.models.fanogan import FAnoGAN
from tfgen.models.gan import GAN
from tfgen.models.ganomaly import GANomaly, SkipGANomaly
from tfgen.models.heads import ACGAN, BEGAN, EBGAN, InfoGAN
from tfgen.models.pix2pix import Pix2Pix
from tfgen.models.progan import ProGAN
from tfgen.models.region_anomaly import RegionInpainter
from tfgen.models.stacked import StackedAutoencoder
from tfgen.models.stackgan import StackGAN
from tfgen.models.staged import StagedGAN
from tfgen.models.stylegan import StyleGAN
from tfgen.models.vae import VAE, AnomalyVAE

__all__ = ["AAE", "ACGAN", "AnomalyAutoencoder", "AnomalyVAE", "Autoencoder", "BEGAN", "CycleGAN", "DRAEM", "DeepSVDD",
           "EBGAN", "FAnoGAN", "GAN", "GANomaly", "InfoGAN", "Pix2Pix", "ProGAN", "RegionInpainter", "SkipGANomaly",
           "StackGAN", "StackedAutoencoder", "StagedGAN", "StyleGAN", "VAE"]

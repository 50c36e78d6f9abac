"""Generative adversarial networks, one file per training procedure."""

from tfgen.models.gans.aae import AAE
from tfgen.models.gans.acgan import ACGAN
from tfgen.models.gans.energy import BEGAN, EBGAN
from tfgen.models.gans.gan import GAN
from tfgen.models.gans.infogan import InfoGAN
from tfgen.models.gans.progan import ProGAN
from tfgen.models.gans.stackgan import StackGAN
from tfgen.models.gans.staged import StagedGAN
from tfgen.models.gans.stylegan import StyleGAN

__all__ = ["AAE", "ACGAN", "BEGAN", "EBGAN", "GAN", "InfoGAN", "ProGAN", "StackGAN", "StagedGAN", "StyleGAN"]

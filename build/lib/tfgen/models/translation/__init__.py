"""Image-to-image translation, with pairs and without."""

from tfgen.models.translation.cyclegan import CycleGAN
from tfgen.models.translation.pix2pix import Pix2Pix

__all__ = ["CycleGAN", "Pix2Pix"]

"""Diffusion models."""

from tfgen.models.diffusion.autoguided import AutoguidedDiffusion
from tfgen.models.diffusion.denoiser import Diffusion
from tfgen.models.diffusion.discrete import DiscreteDiffusion
from tfgen.models.diffusion.guided import GuidedDiffusion
from tfgen.models.diffusion.parametrisations import Clean, Epsilon, Parametrisation, Preconditioned, Straight, Velocity

__all__ = ["AutoguidedDiffusion", "Clean", "Diffusion", "DiscreteDiffusion", "Epsilon", "GuidedDiffusion", "Parametrisation",
           "Preconditioned", "Straight", "Velocity"]

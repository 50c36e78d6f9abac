"""Samplers: free functions that draw from a model's networks."""

from tfgen.samplers import autoregressive, denoising, noise_levels
from tfgen.samplers.incremental import Incremental, NotIncremental

__all__ = ["Incremental", "NotIncremental", "autoregressive", "denoising", "noise_levels"]

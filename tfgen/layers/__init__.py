"""Layers that own weights or random state and that Keras does not have."""

from tfgen.layers.corruption import Corruption, EraseRegion, GaussianCorruption, MaskPixels, SaltAndPepper

__all__ = ["Corruption", "EraseRegion", "GaussianCorruption", "MaskPixels", "SaltAndPepper"]

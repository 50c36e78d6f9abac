"""Layers that own weights or random state and that Keras does not have."""

from tfgen.layers.adversarial import Clip, MinibatchStdDev, OffDiagonalOrthogonality, Scale, uses_batch_statistics
from tfgen.layers.augmentation import Jitter, Rotation
from tfgen.layers.blemishes import Blemishes
from tfgen.layers.corruption import Corruption, EraseLattice, EraseRegion, GaussianCorruption, MaskPixels, SaltAndPepper
from tfgen.layers.differences import CodeDistance, RunningMean, SquaredError, StandardisedError
from tfgen.layers.reparameterised import (
    EqualisedConv2D,
    EqualisedDense,
    SpectralConv2D,
    SpectralDense,
    WeightNormConv2D,
    ZeroConv2D,
)
from tfgen.layers.style import Learned, PixelNorm, SlowDense
from tfgen.layers.translation import ImagePool, ReflectionPadding2D, SeededDropout

__all__ = ["Blemishes", "Clip", "CodeDistance", "Corruption", "EqualisedConv2D", "EqualisedDense", "EraseLattice",
           "EraseRegion", "GaussianCorruption", "ImagePool", "Jitter", "Learned", "MaskPixels", "MinibatchStdDev",
           "OffDiagonalOrthogonality", "PixelNorm", "ReflectionPadding2D", "Rotation", "RunningMean", "SaltAndPepper",
           "Scale", "SeededDropout", "SlowDense", "SpectralConv2D", "SpectralDense", "SquaredError", "StandardisedError",
           "WeightNormConv2D", "ZeroConv2D", "uses_batch_statistics"]

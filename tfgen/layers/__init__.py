"""Layers that own weights or random state and that Keras does not have."""

from tfgen.layers.adaptive_augmentation import AdaptiveAugmentation
from tfgen.layers.adversarial import Clip, MinibatchStdDev, OffDiagonalOrthogonality, Scale, depends_on_batch
from tfgen.layers.augmentation import Jitter, Rotation
from tfgen.layers.batch_norm import FusedBatchNorm
from tfgen.layers.blemishes import Blemishes
from tfgen.layers.captions import Captions
from tfgen.layers.causal import AppendOnes, CausalLayer, Gate, HorizontalConv, VerticalConv
from tfgen.layers.causal_attention import (
    AllowedTokens,
    CausalSelfAttention,
    LevelEmbedding,
    PixelShift,
    PositionEmbedding,
)
from tfgen.layers.causal_upsampling import PixelUpsampling, VerticalUpsampling
from tfgen.layers.conv_transpose import Conv2DTranspose
from tfgen.layers.corruption import Corruption, EraseLattice, EraseRegion, GaussianCorruption, MaskPixels, SaltAndPepper
from tfgen.layers.critic_augmentation import CriticAugmentation, DiffAugment
from tfgen.layers.differences import CodeDistance, RunningMean, SquaredError, StandardisedError
from tfgen.layers.doubling import DoublingConv2D
from tfgen.layers.dropout import Dropout
from tfgen.layers.fourier import AxisFrequencies, FourierFeatures, Sine, positional_encoding
from tfgen.layers.full_precision import FullPrecisionDense, FullPrecisionRescaling, FullPrecisionSoftmax
from tfgen.layers.gaussians import FeatureGaussians
from tfgen.layers.group_norm import GroupNorm
from tfgen.layers.halving import HalvingConv2D
from tfgen.layers.leaky_relu import LeakyReLU
from tfgen.layers.masked_dense import CausalDense, DenseFromImage, DenseToImage, MaskedDense
from tfgen.layers.quantizer import VectorQuantizer, perplexity
from tfgen.layers.reparameterised import (
    EqualisedConv2D,
    EqualisedDense,
    EqualisedDoublingConv2D,
    EqualisedHalvingConv2D,
    SpectralConv2D,
    SpectralDense,
    SpectralDoublingConv2D,
    WeightNormConv2D,
    ZeroConv2D,
)
from tfgen.layers.row_lstm import RowLSTM
from tfgen.layers.sinusoids import Sinusoids
from tfgen.layers.style import Blur, Learned, PixelNorm, SlowDense
from tfgen.layers.translation import ImagePool, ReflectionPadding2D, SeededDropout

__all__ = ["AdaptiveAugmentation", "AllowedTokens", "AppendOnes", "AxisFrequencies", "Blemishes", "Blur", "Captions",
           "CausalDense", "CausalLayer", "CausalSelfAttention", "Clip", "CodeDistance", "Conv2DTranspose", "Corruption",
           "CriticAugmentation", "DenseFromImage", "DenseToImage", "DiffAugment", "DoublingConv2D", "Dropout",
           "EqualisedConv2D", "EqualisedDense", "EqualisedDoublingConv2D", "EqualisedHalvingConv2D", "EraseLattice",
           "EraseRegion", "FeatureGaussians", "FourierFeatures", "FullPrecisionDense", "FullPrecisionRescaling",
           "FullPrecisionSoftmax", "FusedBatchNorm", "Gate", "GaussianCorruption", "GroupNorm", "HalvingConv2D",
           "HorizontalConv", "ImagePool", "Jitter", "LeakyReLU", "Learned", "LevelEmbedding", "MaskPixels", "MaskedDense",
           "MinibatchStdDev", "OffDiagonalOrthogonality", "PixelNorm", "PixelShift", "PixelUpsampling", "PositionEmbedding",
           "ReflectionPadding2D", "Rotation", "RowLSTM", "RunningMean", "SaltAndPepper", "Scale", "SeededDropout", "Sine",
           "Sinusoids", "SlowDense", "SpectralConv2D", "SpectralDense", "SpectralDoublingConv2D", "SquaredError",
           "StandardisedError", "VectorQuantizer", "VerticalConv", "VerticalUpsampling", "WeightNormConv2D", "ZeroConv2D",
           "depends_on_batch", "perplexity", "positional_encoding"]

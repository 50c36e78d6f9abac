"""Invertible maps with log-determinants; the contract is in the docstring of `Bijector`."""

from tfgen.distributions.bijectors.autoregressive import MaskedAutoregressive
from tfgen.distributions.bijectors.base import Bijector, Chain
from tfgen.distributions.bijectors.coupling import AdditiveCoupling, AffineCoupling, Coupling
from tfgen.distributions.bijectors.elementwise import (
    ActNorm,
    BatchNorm,
    Logit,
    Scaling,
    Sigmoid,
    Standardise,
    uses_batch_statistics,
)
from tfgen.distributions.bijectors.linear import InvertibleConv
from tfgen.distributions.bijectors.shapes import Flatten, Permutation, Split, Squeeze

__all__ = ["ActNorm", "AdditiveCoupling", "AffineCoupling", "BatchNorm", "Bijector", "Chain", "Coupling", "Flatten",
           "InvertibleConv", "Logit", "MaskedAutoregressive", "Permutation", "Scaling", "Sigmoid", "Split", "Squeeze",
           "Standardise", "uses_batch_statistics"]

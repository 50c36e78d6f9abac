"""Layers that several networks share: initial weights, normalisation, the range of images."""

import keras
from keras import layers

from tfgen.layers import FusedBatchNorm, GroupNorm

# "layer": statistics of a whole image, a gain and a bias per channel (Gulrajani et al., 2017, authors' code).
NORMS = {"batch": lambda constraint=None: FusedBatchNorm(momentum=0.9, epsilon=1e-5, gamma_constraint=constraint,
                                                          beta_constraint=constraint),
         "layer": lambda constraint=None: GroupNorm(1, constraint=constraint)}


def small_normal():
    """N(0, 0.02^2), where DCGAN's weights start (Radford et al., 2016, section 4).

    One a layer: a Keras initializer draws its seed once and gives the same values at every call.
    """
    return keras.initializers.RandomNormal(0.0, 0.02)


def to_unit(x):
    """[-1, 1] -> [0, 1]: from a tanh to the images of a public boundary."""
    return layers.Rescaling(0.5, 0.5)(x)


def from_unit(x):
    """[0, 1] -> [-1, 1]."""
    return layers.Rescaling(2.0, -1.0)(x)


def normalised(x, norm):
    """Features after `"instance"`, `"batch"` or no (None) normalisation.

    Instance normalisation (Ulyanov et al., 2016) has no weights here; a grid of one place is left as it is, because
    its only deviation from its mean is zero.
    """
    if norm == "instance":
        alone = x.shape[1] * x.shape[2] == 1
        return x if alone else layers.GroupNormalization(groups=-1, epsilon=1e-5, center=False, scale=False)(x)
    return NORMS[norm]()(x) if norm else x

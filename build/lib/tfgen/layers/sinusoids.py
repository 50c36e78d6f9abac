"""Sines and cosines of a number."""

import math

import keras
import numpy as np
from keras import ops

from tfgen.serialization import serializable


@serializable
class Sinusoids(keras.layers.Layer):
    """cos(w t) and sin(w t) of numbers t, with frequencies w from `lowest` to `highest` in a geometric series: (B,) -> (B,
    units), float32 (Vaswani et al., 2017).

    Args:
        units: even.
        lowest, highest: angular frequencies, > 0, in radians per unit of t.
    """

    def __init__(self, units, lowest=0.5, highest=100.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lowest = lowest
        self.highest = highest
        # Half precision has no room for the angles.
        self.autocast = False
        self.frequencies = np.exp(np.linspace(math.log(lowest), math.log(highest), units // 2)).astype("float32")

    def call(self, t):
        angles = ops.expand_dims(ops.cast(t, "float32"), -1) * self.frequencies
        return ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 2 * (self.units // 2))

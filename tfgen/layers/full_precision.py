"""Layers that compute in full precision, whatever the policy: of coordinates, and of rows in their own units.

Half precision has 8 bits: it makes one number of neighbouring coordinates, and of rows that are far from 0.
"""

import keras


@keras.saving.register_keras_serializable(package="tfgen")
class FullPrecisionDense(keras.layers.Dense):
    """`keras.layers.Dense` in the type in which the global policy keeps variables; `dtype` is ignored."""

    def __init__(self, units, *, dtype=None, **kwargs):
        super().__init__(units, dtype=keras.config.dtype_policy().variable_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="tfgen")
class FullPrecisionRescaling(keras.layers.Rescaling):
    """`keras.layers.Rescaling` in the type in which the global policy keeps variables; `dtype` is ignored."""

    def __init__(self, scale, offset=0.0, *, dtype=None, **kwargs):
        super().__init__(scale, offset, dtype=keras.config.dtype_policy().variable_dtype, **kwargs)

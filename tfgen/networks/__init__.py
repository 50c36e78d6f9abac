"""Functions that return a built Functional `keras.Model`."""

from tfgen.networks import conv, mlp

__all__ = ["conv", "mlp"]

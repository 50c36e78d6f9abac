"""Functions that return a built Functional `keras.Model`."""

from tfgen.networks import conv, dcgan, energy, lenet, mlp, points, progressive, resnet, stackgan, style, translation

__all__ = ["conv", "dcgan", "energy", "lenet", "mlp", "points", "progressive", "resnet", "stackgan", "style", "translation"]

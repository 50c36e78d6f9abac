"""Functions that return a built Functional `keras.Model`; what they share is in `grids`, `blocks` and `conditioning`."""

from tfgen.networks import (
    blocks,
    conditioning,
    conv,
    coupling,
    dcgan,
    diffusion_unet,
    energy,
    grids,
    imagenet,
    ladder,
    lenet,
    made,
    mlp,
    pixelcnn,
    pixelcnnpp,
    progressive,
    resnet,
    siren,
    stackgan,
    style,
    transformer,
    translation,
    vector_quantised,
)

__all__ = ["blocks", "conditioning", "conv", "coupling", "dcgan", "diffusion_unet", "energy", "grids", "imagenet", "ladder",
           "lenet", "made", "mlp", "pixelcnn", "pixelcnnpp", "progressive", "resnet", "siren", "stackgan", "style",
           "transformer", "translation", "vector_quantised"]

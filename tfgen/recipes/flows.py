"""Normalizing flows: exact likelihoods through invertible networks."""

import math

import keras
from keras import initializers, regularizers

from tfgen.distributions import Logistic, Normal, UniformDequantisation, VariationalDequantisation
from tfgen.distributions.bijectors import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNorm,
    Chain,
    Flatten,
    InvertibleConv,
    Logit,
    MaskedAutoregressive,
    Permutation,
    Scaling,
    Split,
    Squeeze,
    Standardise,
)
from tfgen.errors import require
from tfgen.layers import ZeroConv2D
from tfgen.models import Flow
from tfgen.networks import coupling
from tfgen.recipes.hyperparameters import compiled_with_schedule
from tfgen.recipes.registry import recipe

OBJECTIVE = ("val_bits_per_dim", "min")


def squeezes(hp, spec, name, default):
    """Hyperparameter `levels`: how often the image is squeezed, at most until a side is odd, by default to sides of 4 to 7.

    Raises:
        UserError: for images that cannot be squeezed once.
    """
    sides, most = spec.image_shape[:2], 0
    while all(side % 2 ** (most + 1) == 0 for side in sides):
        most += 1
    require(most, f"{name} expects images with even sides, which it squeezes, received {sides[0]}x{sides[1]} pixels: "
                  f"choose an even image_size")
    roomy = sum(min(sides) // 2**level >= 4 for level in range(1, most + 1))
    return hp.Int("levels", 1, most, default=max(1, min(default, roomy)))


def dequantised(hp, spec):
    """Hyperparameter `dequantisation`: `"uniform"` or `"variational"` (Ho et al., 2019), here by four couplings."""
    if hp.Choice("dequantisation", ["uniform", "variational"], default="uniform") == "uniform":
        return UniformDequantisation(spec.levels)
    *size, channels = spec.image_shape
    features = hp.Int("dequantisation_filters", 4, 256, default=32)
    image = keras.Input(spec.image_shape)
    x = keras.layers.Conv2D(features, 3, padding="same", activation="relu")(keras.layers.Rescaling(2.0, -1.0)(image))
    context = keras.Model(image, keras.layers.Conv2D(features, 3, padding="same", activation="relu")(x), name="context")
    steps = [AffineCoupling(coupling.convolutional((*size, channels + 1), channels, features, features), "checkerboard",
                            invert=index % 2 == 1) for index in range(4)]
    return VariationalDequantisation(spec.levels, Chain([ActNorm(), *steps]), context)


def continuous(spec, *of_images):
    """([bijectors that begin a chain], dequantisation or None): vectors are standardised; images are made continuous, and
    pass through `of_images`."""
    return ([Standardise(spec.location, spec.scale)], None) if spec.vectors else (
        list(of_images), UniformDequantisation(spec.levels))


@recipe(family="flow", paper="arXiv:1410.8516", objective=OBJECTIVE, batch_size=200, vectors=True)
def nice(hp, spec):
    """NICE (Dinh et al., 2014): additive couplings of alternating halves and a scale per value, logistic prior."""
    dim = math.prod(spec.image_shape)
    require(dim > 1, f"nice expects at least two values per row, whose halves it couples, '{spec.name}' has one: use maf")
    units = [hp.Int("units", 4, 4096, default=1000)] * hp.Int("hidden_layers", 1, 8, default=5)

    def small():
        return initializers.RandomUniform(-0.01, 0.01)

    def step(index):
        # Even positions, the larger half, are held first.
        held = dim // 2 if index % 2 else (dim + 1) // 2
        network = coupling.dense(held, dim - held, units, initializer=small, last_initializer=small)
        return AdditiveCoupling(network, invert=index % 2 == 1)

    steps = [step(index) for index in range(hp.Int("couplings", 1, 12, default=4))]
    first, dequantisation = continuous(spec)
    flow = Chain([*first, Flatten(), Permutation("even_odd"), *steps, Scaling()])
    # AdaM's second-moment rate of 0.01 in the paper is the weight of the new value.
    return compiled_with_schedule(Flow(flow, spec.image_shape, Logistic(), dequantisation), hp, 1e-3, beta_2=0.99,
                                  epsilon=1e-4)


@recipe(family="flow", paper="arXiv:1605.08803", objective=OBJECTIVE, batch_size=64)
def realnvp(hp, spec):
    """RealNVP (Dinh et al., 2016): multi-scale affine couplings with checkerboard and channel masks, residual networks."""
    levels = squeezes(hp, spec, "realnvp", 5)
    filters, blocks = hp.Int("filters", 2, 512, default=32), hp.Int("residual_blocks", 0, 16, default=4)
    couplings, decay = hp.Int("couplings", 1, 8, default=3), hp.Float("weight_decay", 0.0, 1e-2, default=5e-5)

    def steps(shape, width, mask, count):
        *size, channels = shape
        taken, moved = (channels + 1, channels) if mask == "checkerboard" else (channels // 2, channels // 2)
        for index in range(count):
            network = coupling.residual((*size, taken), moved, width, blocks, lambda: regularizers.L2(decay))
            yield AffineCoupling(network, mask, invert=index % 2 == 1)
            yield BatchNorm()

    def scale(shape, level, width):
        height, breadth, channels = shape
        if level == levels:
            return Chain([*steps(shape, width, "checkerboard", couplings + 1), Flatten()])
        small = (height // 2, breadth // 2, 4 * channels)
        # As in the authors' code, the pixels on the diagonal of each 2x2 block go on, the others are factored out.
        diagonal = [block * channels + channel for block in (0, 3, 1, 2) for channel in range(channels)]
        return Chain([*steps(shape, width, "checkerboard", couplings), Squeeze(),
                      *steps(small, 2 * width, "channels", couplings), Permutation(diagonal),
                      Split(scale((*small[:2], 2 * channels), level + 1, 2 * width))])

    flow = Chain([Logit(0.05), scale(spec.image_shape, 0, filters)])
    model = Flow(flow, spec.image_shape, Normal(), dequantised(hp, spec))
    return compiled_with_schedule(model, hp, 1e-3, global_clipnorm=100.0)


@recipe(family="flow", paper="arXiv:1807.03039", objective=OBJECTIVE, batch_size=64)
def glow(hp, spec):
    """Glow (Kingma & Dhariwal, 2018): multi-scale steps of actnorm, invertible 1x1 convolution and affine coupling.

    The prior of what is factored out is learned, that of the last scale is N(0, 1): the official code without its option
    learntop. That code also marks the image's edge in the couplings' inputs.
    """
    levels = squeezes(hp, spec, "glow", 3)
    count, filters = hp.Int("flow_steps", 1, 64, default=32), hp.Int("filters", 2, 1024, default=512)

    def scale(shape, level):
        height, width, channels = shape[0] // 2, shape[1] // 2, 4 * shape[2]
        half, parts = channels // 2, [Squeeze()]
        for _ in range(count):
            parts += [ActNorm(), InvertibleConv(),
                      AffineCoupling(coupling.convolutional((height, width, half), half, filters))]
        if level == levels:
            return Chain([*parts, Flatten()])
        b = keras.Input((height, width, half))
        learned = keras.Model(b, ZeroConv2D(channels, 3, padding="same")(b), name="prior")
        return Chain([*parts, Split(scale((height, width, half), level + 1), learned)])

    flow = Flow(scale(spec.image_shape, 1), spec.image_shape, Normal(), dequantised(hp, spec))
    return compiled_with_schedule(flow, hp, 1e-3)


@recipe(family="flow", paper="arXiv:1705.07057", objective=OBJECTIVE, batch_size=100, vectors=True)
def maf(hp, spec):
    """Masked autoregressive flow (Papamakarios et al., 2017): MADEs in alternating orders, batch normalisation between.

    Pixels pass a logit, of colour images within (0.05, 0.95), as in the authors' code for CIFAR-10.
    On vectors, the log scales of all steps together are within (-25, 25), which the paper's are not: rows some standard
    deviations from the training data would have a density of NaN.
    """
    units = [hp.Int("units", 4, 4096, default=1024)] * hp.Int("hidden_layers", 1, 4, default=2)
    decay = hp.Float("weight_decay", 0.0, 1e-2, default=1e-6)
    first, dequantisation = continuous(spec, Logit(1e-6 if spec.image_shape[-1] == 1 else 0.05))
    parts = [*first, Flatten()]
    steps = hp.Int("flow_steps", 1, 20, default=5)
    for index in range(steps):
        parts += [MaskedAutoregressive(units, reverse=index % 2 == 1, kernel_regularizer=regularizers.L2(decay / 2),
                                       bound=25.0 / steps if spec.vectors else None),
                  BatchNorm(affine=True, epsilon=1e-5)]
    return compiled_with_schedule(Flow(Chain(parts), spec.image_shape, Normal(), dequantisation), hp, 1e-4)

"""Autoregressive models: what differs is the causal network, and the likelihood that its outputs parametrise."""

import math

import keras
import numpy as np

from tfgen.distributions import Bernoulli, Categorical, MixtureOfLogistics
from tfgen.models import Autoregressive, MaskEnsemble
from tfgen.networks import made as fully_connected
from tfgen.networks import pixelcnn as convolutional
from tfgen.networks import pixelcnnpp as multi_scale
from tfgen.networks import transformer
from tfgen.optimizers import Adam
from tfgen.recipes.hyperparameters import classes, compiled_with_schedule, learning_rate, scheduled_rate
from tfgen.recipes.registry import recipe
from tfgen.schedules import InverseSquareRoot

BITS = ("val_bits_per_dim", "min")
# Of binarised images the field reports nats.
NATS = ("val_loss", "min")


def categorical(spec):
    """A softmax over the grey levels of the data; of two levels, a Bernoulli."""
    return Bernoulli() if spec.levels == 2 else Categorical(spec.levels)


def colours(spec, likelihood):
    """Arguments (number of parameters, colours in which the channels of a pixel are causal) of network builders."""
    channels = spec.image_shape[-1]
    return {"parameters": likelihood.parameters(channels), "groups": 1 if likelihood.joint else channels}


@recipe(family="autoregressive", paper="https://mitpress.mit.edu/9780262062022", view="binarised", objective=NATS,
        batch_size=512)
def fvbn(hp, spec):
    """Fully visible belief net (Frey, 1998): each pixel is a logistic regression on those before it; binarised images."""
    return compiled_with_schedule(Autoregressive(fully_connected.fvbn(spec.image_shape)), hp, 1e-3)


@recipe(family="autoregressive", paper="arXiv:1502.03509", view="binarised", objective=NATS, batch_size=100)
def made(hp, spec):
    """MADE (Germain et al., 2015): a masked autoencoder, one hidden layer of 500, one mask; binarised images.

    The paper's order of pixels is order=random; in raster order the model is comparable with those of the other recipes.
    With masks=K, the same weights are trained under K masks, each with its own order if order=random, and the model is their
    mixture. The official code's best model of MNIST has hidden_layers=2, units=8000, masks=32 and order=random.
    """
    units = [hp.Int("units", 4, 8192, default=500)] * hp.Int("hidden_layers", 1, 4, default=1)
    seed, pixels = hp.Int("mask_seed", 0, 1000, default=0), math.prod(spec.image_shape[:2])
    masks, direct = hp.Int("masks", 1, 32, default=1), hp.Boolean("direct", default=True)
    rng, random = np.random.default_rng(seed), hp.Choice("order", ["raster", "random"], default="raster") == "random"
    orders = [rng.permutation(pixels).tolist() for _ in range(masks)] if random else None
    several = orders if masks > 1 else None
    network = fully_connected.made(spec.image_shape, units, direct=direct, masks=masks, seed=seed, orders=several)
    model = MaskEnsemble(network, order=orders) if masks > 1 else Autoregressive(network, order=orders and orders[0])
    return compiled_with_schedule(model, hp, 1e-2, keras.optimizers.Adagrad, initial_accumulator_value=0.0, epsilon=1e-6)


@recipe(family="autoregressive", paper="arXiv:1601.06759", objective=BITS, batch_size=16)
def pixelcnn(hp, spec):
    """PixelCNN (van den Oord et al., 2016): masked convolutions, 15 residual blocks.

    The paper's model of CIFAR-10 has filters=128 and head_filters=1024; the defaults are for small grey images.
    """
    likelihood = categorical(spec)
    network = convolutional.pixelcnn(
        spec.image_shape, filters=hp.Int("filters", 2, 512, default=16), blocks=hp.Int("blocks", 1, 50, default=15),
        head=hp.Int("head_filters", 2, 2048, default=32), **colours(spec, likelihood))
    return compiled_with_schedule(Autoregressive(network, likelihood), hp, 1e-3, keras.optimizers.RMSprop)


@recipe(family="autoregressive", paper="arXiv:1601.06759", objective=BITS, batch_size=16)
def pixelrnn(hp, spec):
    """PixelRNN (van den Oord et al., 2016): seven Row LSTMs of 16 units, as its Diagonal BiLSTM of MNIST."""
    likelihood = categorical(spec)
    network = convolutional.pixelrnn(
        spec.image_shape, units=hp.Int("units", 2, 512, default=16), blocks=hp.Int("blocks", 1, 20, default=7),
        head=hp.Int("head_filters", 2, 2048, default=32), **colours(spec, likelihood))
    return compiled_with_schedule(Autoregressive(network, likelihood), hp, 1e-3, keras.optimizers.RMSprop)


def gated(hp, spec, num_classes=None):
    likelihood = categorical(spec)
    network = convolutional.gated_pixelcnn(
        spec.image_shape, filters=hp.Int("filters", 2, 512, default=64), blocks=hp.Int("blocks", 1, 50, default=7),
        kernel_size=hp.Int("kernel_size", 3, 9, step=2, default=5), head=hp.Int("head_filters", 2, 2048, default=64),
        dropout=hp.Float("dropout", 0.0, 0.9, default=0.0), num_classes=num_classes, **colours(spec, likelihood))
    return compiled_with_schedule(Autoregressive(network, likelihood, num_classes), hp, 1e-3)


@recipe(family="autoregressive", paper="arXiv:1606.05328", objective=BITS)
def gated_pixelcnn(hp, spec):
    """Gated PixelCNN (van den Oord et al., 2016): vertical and horizontal stacks, no blind spot.

    The paper's model of ImageNet has blocks=20, filters=384 and kernel_size=5; the defaults are for small grey images.
    """
    return gated(hp, spec)


@recipe(family="autoregressive", paper="arXiv:1606.05328", view="labelled", objective=BITS)
def conditional_gated_pixelcnn(hp, spec):
    """Conditional Gated PixelCNN (van den Oord et al., 2016): each gated layer is told the class."""
    return gated(hp, spec, classes(spec, "conditional_gated_pixelcnn", "gated_pixelcnn"))


@recipe(family="autoregressive", paper="arXiv:1701.05517", objective=BITS, batch_size=16)
def pixelcnnpp(hp, spec):
    """PixelCNN++ (Salimans et al., 2017): a mixture of discretised logistics, two streams at three resolutions.

    The official code also normalises weights, evaluates their running average (decay 0.9995) and takes 16 images on each of
    8 GPUs.
    """
    likelihood = MixtureOfLogistics(hp.Int("components", 1, 50, default=10), spec.levels)
    deepest = max(n for n in (1, 2, 3) if all(side % 2 ** (n - 1) == 0 for side in spec.image_shape[:2]))
    network = multi_scale.pixelcnnpp(
        spec.image_shape, likelihood.parameters(spec.image_shape[-1]), filters=hp.Int("filters", 2, 512, default=160),
        blocks=hp.Int("blocks", 1, 10, default=5), levels=hp.Int("levels", 1, deepest, default=deepest),
        dropout=hp.Float("dropout", 0.0, 0.9, default=0.5))
    model = Autoregressive(network, likelihood)
    rate = scheduled_rate(hp, 1e-3)
    if isinstance(rate, float):
        rate = keras.optimizers.schedules.ExponentialDecay(rate, 1, 0.999995)
    model.compile(Adam(rate, 0.95, 0.9995))
    return model


@recipe(family="autoregressive", paper="arXiv:1802.05751", objective=BITS, batch_size=16)
def image_transformer(hp, spec):
    """Image Transformer (Parmar et al., 2018): causal self-attention over pixels, local in one dimension.

    Sizes are those of tensor2tensor's imagetransformer_cifar10_base, whose peak rate is 3.5e-3; the default is the 7e-4 of
    its imagetransformer_base.
    """
    kind = hp.Choice("likelihood", ["categorical", "mixture_of_logistics"], default="categorical")
    likelihood = categorical(spec) if kind == "categorical" else MixtureOfLogistics(10, spec.levels)
    heads = hp.Int("heads", 1, 16, default=4)
    network = transformer.image_transformer(
        spec.image_shape, levels=spec.levels, units=heads * hp.Int("head_units", 2, 256, default=128),
        blocks=hp.Int("blocks", 1, 24, default=12), heads=heads, hidden=hp.Int("hidden_units", 4, 8192, default=2048),
        dropout=hp.Float("dropout", 0.0, 0.9, default=0.3), block_length=hp.Int("block_length", 1, 4096, default=256),
        memory=hp.Int("memory", 0, 4096, default=256), **colours(spec, likelihood))
    model = Autoregressive(network, likelihood)
    rate = InverseSquareRoot(learning_rate(hp, 7e-4), max(1, hp.Steps("warmup_steps", 4000)))
    model.compile(Adam(rate, 0.9, 0.98, 1e-9))
    return model

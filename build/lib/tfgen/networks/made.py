"""Fully connected autoregressive networks: the logistic belief net and MADE."""

import math

import keras
import numpy as np
from keras import layers

from tfgen.errors import require
from tfgen.layers import CausalDense, DenseFromImage, DenseToImage, MaskedDense


def fvbn(image_shape, per_value=1):
    """Fully visible belief net with logistic conditionals (Frey, 1998): logits are linear in the earlier values.

    Args:
        image_shape: (H, W, C).
        per_value: parameters per value.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, C per_value).
    """
    image = keras.Input(image_shape, name="x")
    return keras.Model(image, CausalDense(per_value)(image), name="network")


def made(image_shape, units=(500,), per_value=1, activation="relu", direct=True, masks=1, seed=0, orders=None):
    """MADE, a masked autoencoder of one order of pixels per mask (Germain et al., 2015).

    The paper's conditioning weights, which tell units which values they take, are left out.

    Each hidden unit has a degree, drawn uniformly from the smallest degree of the layer before to D - 1. It takes the values
    (or the units of degrees) up to it. Outputs of value d take the units of degrees below d and, directly, earlier values.

    Args:
        image_shape: (H, W, C), of at least two values.
        units: width of each hidden layer, at least one.
        per_value: parameters per value.
        activation: Keras activation of hidden layers.
        direct: whether outputs also depend linearly on the values before them.
        masks: number of sets of degrees, and so of masks, over the same weights.
        seed: of the degrees.
        orders: order of the pixels under each mask, a permutation of 0 ... H W - 1. The weights belong to pixels; images and
            outputs are in the mask's order, as `tfgen.MaskEnsemble` arranges them. None: raster order.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, C per_value); with several masks, a list of images, in the
        order of each mask, -> a list of outputs.

    Raises:
        UserError: if the number of orders is not that of masks.
    """
    require(orders is None or len(orders) == masks, f"made expects one order for each of the masks={masks}, received "
                                                    f"{len(orders or [])}")
    generator, top = np.random.default_rng(seed), math.prod(image_shape) - 1
    degrees = [[generator.integers(1, top + 1, units[0]).tolist()] for _ in range(masks)]
    for width in units[1:]:
        for layer_degrees in degrees:
            layer_degrees.append(generator.integers(min(layer_degrees[-1]), top + 1, width).tolist())
    hidden = [list(layer_degrees) for layer_degrees in zip(*degrees)]  # (layers, masks, units)
    stack = [DenseFromImage(hidden[0], orders), *map(MaskedDense, hidden, hidden[1:])]
    last, straight = DenseToImage(hidden[-1], image_shape, per_value, orders), CausalDense(per_value, orders)

    def outputs(which, image):
        x = image
        for layer in stack:
            x = layers.Activation(activation)(layer(x, which=which))
        y = last(x, which=which)
        # Without orders, the direct connections are the same under each mask.
        return layers.Add()([y, straight(image, which=which if orders else 0)]) if direct else y

    images = [keras.Input(image_shape, name=f"x_{which}") for which in range(masks)]
    found = [outputs(which, image) for which, image in enumerate(images)]
    return keras.Model(*((images, found) if masks > 1 else (images[0], found[0])), name="network")

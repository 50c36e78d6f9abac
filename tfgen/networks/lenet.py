"""Small convolutional networks with pooling (LeCun et al., 1998), without biases, for one-class classification."""

import math

from keras import Input, Model, layers, regularizers

from tfgen.layers import DoublingConv2D, FusedBatchNorm
from tfgen.networks.grids import sizes


def _block(x):
    """Batch normalisation without learned scale or shift, then leaky ReLU."""
    return layers.LeakyReLU(0.01)(FusedBatchNorm(momentum=0.9, center=False, scale=False, epsilon=1e-4)(x))


def encoder(image_shape, outputs, filters=16, hidden=128, levels=2, weight_decay=0.0):
    """Images -> codes: 5x5 convolutions with pooling, a hidden layer, a linear layer, all without biases.

    With a bias, or a bounded activation, a network could map every image to one point (Ruff et al., 2018,
    propositions 2 and 3).

    Args:
        image_shape: (H, W, C).
        outputs: number of values per code.
        filters: channels of the first convolution, doubled at each level.
        hidden: units of the fully connected layer before the code.
        levels: number of convolutions, each followed by 2x2 pooling (sides round up).
        weight_decay: factor of half the sum of squared weights, added to the loss.

    Returns:
        A Functional model, (B, H, W, C) -> (B, outputs).
    """
    made = {"use_bias": False, "kernel_regularizer": regularizers.L2(0.5 * weight_decay) if weight_decay else None}
    image = Input(image_shape, name="x")
    x = image
    for level in range(levels):
        x = _block(layers.Conv2D(filters * 2**level, 5, padding="same", **made)(x))
        x = layers.MaxPooling2D(2, padding="same")(x)
    x = _block(layers.Dense(hidden, **made)(layers.Flatten()(x)))
    return Model(image, layers.Dense(outputs, **made)(x), name="encoder")


def decoder(latent_dim, image_shape, filters=16, levels=2):
    """Mirror of `encoder`: a dense layer to the smallest grid, then doublings and 5x5 convolutions, without biases.

    Returns:
        A Functional model, (B, latent_dim) -> (B, H, W, C), linear.
    """
    grids = sizes(image_shape, levels)
    code = Input((latent_dim,), name="z")
    width = filters * 2**(levels - 1)
    x = layers.Dense(math.prod(grids[0]) * width, use_bias=False)(code)
    x = _block(layers.Reshape((*grids[0], width))(x))
    for level, grid in zip(reversed(range(levels)), grids[1:]):
        x = _block(DoublingConv2D(filters * 2**level, 5, grid, use_bias=False)(x))
    return Model(code, layers.Conv2D(image_shape[-1], 5, padding="same", use_bias=False)(x), name="decoder")

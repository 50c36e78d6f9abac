"""All-convolutional generators and critics (Radford et al., 2016), for any image size."""

import math

import keras
from keras import layers

from tfgen.layers import Conv2DTranspose, LeakyReLU, SpectralConv2D, SpectralDense
from tfgen.networks.blocks import NORMS, small_normal, to_unit
from tfgen.networks.conditioning import image_and_label, latent_and_label
from tfgen.networks.grids import check_levels, crop_to, sizes, widths


def generator(image_shape, latent_dim, filters=64, norm="batch", num_classes=None):
    """Latents -> images: a dense layer to the smallest grid, then 4x4 transposed convolutions with stride 2.

    Args:
        image_shape: (H, W, C); each side at least 8. The smallest grid is 4 to 7 pixels wide.
        latent_dim: width of the latent.
        filters: channels before the last layer, doubled at each smaller grid.
        norm: `"batch"`, `"layer"` or None, before each rectifier.
        num_classes: if given, the network takes `[latents, labels]`.

    Returns:
        A Functional model, (B, latent_dim) -> (B, H, W, C) in [0, 1], weights from N(0, 0.02).

    Raises:
        UserError: for images that are too small to be doubled up to.
    """
    levels = check_levels(image_shape)
    grids, channels = sizes(image_shape, levels), widths(filters, levels)[::-1]
    inputs, x = latent_and_label(latent_dim, num_classes)

    def finish(x):
        return layers.ReLU()(NORMS[norm]()(x) if norm else x)

    x = layers.Dense(math.prod(grids[0]) * channels[0], use_bias=not norm, kernel_initializer=small_normal())(x)
    x = finish(layers.Reshape((*grids[0], channels[0]))(x))
    for grid, width in zip(grids[1:], [*channels[1:], image_shape[-1]]):
        last = grid == grids[-1]
        x = Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=last or not norm,
                                   kernel_initializer=small_normal())(x)
        x = crop_to(x, grid)
        x = to_unit(layers.Activation("tanh")(x)) if last else finish(x)
    return keras.Model(inputs, x, name="generator")


def critic(image_shape, filters=64, norm=None, spectral=False, num_classes=None, head=0, constraint=None, features=False):
    """Images -> scores: 4x4 convolutions with stride 2, leaky rectifiers of slope 0.2, one dense layer.

    Args:
        image_shape: (H, W, C), each side at least 8.
        filters: channels of the first convolution, doubled at each further one.
        norm: `"batch"`, `"layer"` or None; never in the first layer.
        spectral: whether every kernel is spectrally normalised (Miyato et al., 2018).
        num_classes: if given, the network takes `[images, labels]`.
        head: width of a second output; 0: the score is the only output.
        constraint: of all weights, those of normalisation too, such as `tfgen.layers.Clip`; the first ones also meet it.
        features: also return the flattened features before the score layer, (B, h * w * C).

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, 1), or a list of (B, 1), (B, head) and the features as they
        apply; weights from N(0, 0.02) with batch normalisation, else Glorot's.

    Raises:
        UserError: for images that are too small to be halved.
    """
    inputs, x, dense = _halved(image_shape, filters, norm, spectral, num_classes, constraint)
    outputs = [dense(1)(x), *([dense(head)(x)] if head else []), *([x] if features else [])]
    model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="critic")
    # Keras applies constraints after an update: the first gradients would be of other weights, and RMSProp remembers them.
    for weight in model.trainable_variables if constraint else []:
        weight.assign(constraint(weight))
    return model


def encoder(image_shape, outputs, filters=64, norm="batch"):
    """Images -> codes: the convolutions of `critic` and a dense layer.

    Args:
        image_shape, filters, norm: as for `critic`.
        outputs: width of the code.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, outputs).

    Raises:
        UserError: for images that are too small to be halved.
    """
    inputs, x, dense = _halved(image_shape, filters, norm)
    return keras.Model(inputs, dense(outputs)(x), name="encoder")


def _halved(image_shape, filters, norm, spectral=False, num_classes=None, constraint=None):
    """(inputs, flat features of the smallest grid, how dense layers on them are made)."""
    conv, dense = (SpectralConv2D, SpectralDense) if spectral else (layers.Conv2D, layers.Dense)
    bounds = {"kernel_constraint": constraint, "bias_constraint": constraint}

    def start():
        # Small weights need a normalisation that undoes their size.
        return small_normal() if norm == "batch" else "glorot_uniform"

    inputs, x = image_and_label(image_shape, num_classes)
    for level, width in enumerate(widths(filters, check_levels(image_shape))):
        x = conv(width, 4, strides=2, padding="same", kernel_initializer=start(), **bounds)(x)
        x = NORMS[norm](constraint)(x) if norm and level else x
        x = LeakyReLU(0.2)(x)
    return inputs, layers.Flatten()(x), lambda units: dense(units, kernel_initializer=start(), **bounds)

"""Models with explicit densities whose training is measured, their check against peers, and a bare TensorFlow loop."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.keras_loop import loss_and_norm, one_pass
from tfgen import data, recipes
from tfgen.distributions import Normal, UniformDequantisation
from tfgen.distributions.bijectors import AffineCoupling, Chain, Flatten, Logit, Permutation, Split, Squeeze
from tfgen.layers import FusedBatchNorm
from tfgen.models import Flow

LEVELS = {"realnvp": 256, "gated_pixelcnn": 16}
ALPHA = 0.05


def gated_pixelcnn(image_shape, **values):
    """A compiled model of the recipe `gated_pixelcnn`."""
    spec = data.DataSpec("random", image_shape, levels=LEVELS["gated_pixelcnn"])
    return recipes.find("gated_pixelcnn").model(spec, **values)


def realnvp(image_shape, filters=32, blocks=1, couplings=3, scales=2, rate=1e-3):
    """A compiled RealNVP with the masks, couplings and scales of the recipe `realnvp`, of what `normflows` has as well.

    Unlike the recipe's: no weight normalisation, no batch normalisation between couplings; only the last residual block
    reaches the last layer; log scales have no bound; checkerboard couplings take shifts and log scales from a network each,
    which does not see the mask.
    """
    def steps(shape, width, mask, count):
        network = separate if mask == "checkerboard" else joint
        return [AffineCoupling(network(shape, width, blocks), mask, invert=index % 2 == 1) for index in range(count)]

    def scale(shape, index, width):
        height, breadth, channels = shape
        if index == scales:
            return Chain([*steps(shape, width, "checkerboard", couplings + 1), Flatten()])
        small = (height // 2, breadth // 2, 4 * channels)
        return Chain([*steps(shape, width, "checkerboard", couplings), Squeeze(), Permutation(by_colour(channels)),
                      *steps(small, 2 * width, "channels", couplings),
                      Split(scale((*small[:2], 2 * channels), index + 1, 2 * width))])

    flow = Chain([Logit(ALPHA), scale(tuple(image_shape), 0, filters)])
    model = Flow(flow, image_shape, Normal(), UniformDequantisation(LEVELS["realnvp"]))
    model.compile(keras.optimizers.Adam(rate))
    return model


def by_colour(channels):
    """The order of a squeezed image's channels in which the four values of a colour are neighbours, as in `normflows`."""
    return [position * channels + colour for colour in range(channels) for position in range(4)]


def residual(shape, moved, filters, blocks, name):
    """Pre-activation residual blocks of 3x3 convolutions with batch normalisation, between two 1x1 convolutions."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(filters, 1)(inputs)
    for _ in range(blocks):
        y = x
        for _ in range(2):
            y = layers.Conv2D(filters, 3, padding="same")(layers.ReLU()(FusedBatchNorm(momentum=0.9)(y)))
        x = layers.Add()([x, y])
    last = layers.Conv2D(moved, 1, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01))
    return keras.Model(inputs, last(x), name=name)


def inverted(inputs, shift, log_scale):
    """The network of z = (x - shift) exp(-log_scale), the direction in which `normflows` computes densities."""
    return keras.Model(inputs, ops.concatenate([-shift * ops.exp(-log_scale), -log_scale], axis=-1), name="coupling")


def separate(shape, filters, blocks):
    """Networks `shift` and `log_scale` of the held pixels: (B, H, W, C + 1) -> (B, H, W, 2 C)."""
    inputs, channels = keras.Input((*shape[:2], shape[2] + 1)), shape[2]
    held = inputs[..., :channels]
    return inverted(inputs, *(residual(shape, channels, filters, blocks, name)(held) for name in ("shift", "log_scale")))


def joint(shape, filters, blocks):
    """A network `both` of half the channels: (B, H, W, C / 2) -> (B, H, W, C)."""
    inputs = keras.Input((*shape[:2], shape[2] // 2))
    made = residual(inputs.shape[1:], shape[2], filters, blocks, "both")(inputs)
    return inverted(inputs, *ops.split(made, 2, axis=-1))


def couplings_of(bijector):
    """The couplings of `realnvp`'s bijector, from data to latents."""
    if isinstance(bijector, AffineCoupling):
        return [bijector]
    parts = bijector.bijectors if isinstance(bijector, Chain) else [bijector.inner] if isinstance(bijector, Split) else []
    return [coupling for part in parts for coupling in couplings_of(part)]


def images(recipe, count, image_shape):
    """Random images on the grey levels: (count, H, W, C)."""
    levels = LEVELS[recipe]
    return np.random.default_rng(0).integers(0, levels, (count, *image_shape)).astype("float32") / (levels - 1)


def realnvp_loss(model, x, u):
    """-log p(y) + D log levels in nats per image, y = (level + u) / levels with uniform noise u."""
    y = (tf.round(x * 255.0) + u) / 256.0
    z, log_det = model.bijector.forward_and_log_det(y, training=True)
    size = math.prod(x.shape[1:])
    log_prior = -0.5 * tf.reduce_sum(z**2, -1) - 0.5 * size * math.log(2.0 * math.pi)
    return size * math.log(256.0) - tf.reduce_mean(log_prior + log_det)


def pixelcnn_loss(model, x, _):
    """-log p(x) in nats per image."""
    level = tf.cast(tf.round(x[..., 0] * (model.likelihood.levels - 1)), tf.int32)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=level, logits=model.network(x, training=True))
    return tf.reduce_sum(nats) / tf.cast(tf.shape(x)[0], tf.float32)


LOSSES = {"realnvp": realnvp_loss, "gated_pixelcnn": pixelcnn_loss}
MODELS = {"realnvp": realnvp, "gated_pixelcnn": gated_pixelcnn}


def fit_loss(model, x, u):
    """The loss of `fit`; u: noise of a flow's dequantisation."""
    if not isinstance(model, Flow):
        return model.compute_losses(x, training=True)["loss"]
    y, weight = model.dequantisation.forward(x, u)
    return -tf.reduce_mean(model.log_density(y, training=True) + weight)


def check(recipe, model, twins, x):
    """Asserts that all peers compute one loss with one gradient, and have as many parameters.

    Args:
        model: a compiled model.
        twins: {variant: the model in PyTorch, with `loss(x, u)` and `parameters()`}.
        x: images (B, H, W, C).
    """
    u = np.random.default_rng(1).random(x.shape, np.float32)
    wanted, bare_pair = (loss_and_norm(lambda loss_of=loss_of: loss_of(model, tf.constant(x), tf.constant(u)),
                                       model.trainable_variables) for loss_of in (fit_loss, LOSSES[recipe]))
    count = sum(int(tf.size(v)) for v in model.trainable_variables)
    for name, pair in {"bare": bare_pair, **{name: twin.loss(x, u) for name, twin in twins.items()}}.items():
        np.testing.assert_allclose(pair, wanted, rtol=1e-4, err_msg=f"{recipe}: {name} against fit")
    for twin in twins.values():
        assert twin.parameters() == count, (twin.parameters(), count)


def bare(recipe, model, dataset):
    """As `keras_loop.one_pass`, with the model's optimizer."""
    return one_pass(lambda x: LOSSES[recipe](model, x, tf.random.uniform(tf.shape(x))), model.optimizer,
                    model.trainable_variables, dataset)

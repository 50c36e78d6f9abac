"""Autoregressive models: p(x) as a product of conditional probabilities of values, computed by one causal network."""

import math

import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.base.generative import GenerativeModel
from tfgen.samplers import Incremental, NotIncremental, autoregressive
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable
class Autoregressive(GenerativeModel):
    """Maximises log p(x) = sum_t log p(x_t | x_1 ... x_{t-1}), the values in raster order, channels innermost.

    The network computes the parameters of all conditional distributions in one pass: those of value t depend on the values
    before t alone. loss = -log p(x) in nats per image.

    Args:
        network: Functional model, images (B, H, W, C) (or [images, labels]) -> (B, H, W, `likelihood.parameters(C)`),
            causal: the parameters at a pixel depend on earlier pixels and, unless the likelihood joins the channels of a
            pixel, those of a channel also on the earlier channels. Networks of causal layers (`tfgen.layers.causal`) and
            pointwise ones are sampled incrementally, others by one pass per value.
        likelihood: a `tfgen.distributions.Likelihood` of discrete images with `draw`: Bernoulli, Categorical,
            DiscretisedLogistic or MixtureOfLogistics.
        num_classes: number of classes of a conditional model, whose network takes labels; else None.
        order: the pixels in the order of the product, numbered from 0 in raster order: a permutation of H W ints, by which
            images are rearranged before they enter the network. None: raster order.

    Reported: `bits_per_dim` = loss / (D log 2), with D values per image.

    Raises:
        UserError: if the network does not fit the likelihood, `num_classes` or `order`.
    """

    loss_names = ("bits_per_dim",)

    def __init__(self, network, likelihood=Bernoulli(), num_classes=None, order=None, **kwargs):
        super().__init__(**kwargs)
        image, made = tuple(network.inputs[0].shape[1:]), tuple(network.outputs[0].shape[1:])
        wanted = (*image[:-1], likelihood.parameters(image[-1]))
        require(made == wanted, f"the network must give {wanted} for images of {image} under {type(likelihood).__name__}, "
                                f"it gives {made}")
        expected = self.expected_inputs(network, num_classes)
        require(len(network.inputs) == expected, f"with num_classes={num_classes} the network must take {expected} "
                                                 f"input(s), it takes {len(network.inputs)}")
        self.network = network
        self.likelihood = likelihood
        self.num_classes = num_classes
        self.order = self.checked(order, image[0] * image[1])
        self.built = True

    @staticmethod
    def expected_inputs(network, num_classes):
        """Number of inputs that the network must take."""
        return 2 if num_classes else 1

    def checked(self, order, pixels):
        """An order of `pixels` pixels, or None, as ints."""
        require(order is None or sorted(order) == list(range(pixels)),
                f"order expects a permutation of 0 ... {pixels - 1}, received {order}")
        return order if order is None else [int(pixel) for pixel in order]

    @property
    def conditional(self):
        """Whether the network takes a condition, such as a label, beside the images."""
        return bool(self.num_classes)

    @property
    def image_shape(self):
        return tuple(self.network.inputs[0].shape[1:])

    def verb_options(self, name):
        options = {}
        if self.num_classes:
            options["label"] = Option("int64", None, 0, self.num_classes - 1, "class of each image")
        if name in ("sample", "complete"):
            options["temperature"] = Option("float32", 1.0, 0.0, 2.0, "1: samples of the model; 0: the likeliest values")
        return options

    def parameters(self, x, label=None, training=False):
        """Parameters of the conditional distributions of all values: float32 (B, H, W, `likelihood.parameters(C)`).

        With an `order`, x are rearranged images (`ordered`), and so are the parameters.
        """
        inputs = [ops.convert_to_tensor(x), ops.convert_to_tensor(label)] if self.conditional else x
        return ops.cast(self.network(inputs, training=training), "float32")

    def ordered(self, maps):
        """Maps (B, H, W, k) with their pixels in the order of the product."""
        return rearranged(maps, self.order)

    def compute_losses(self, batch, training):
        x, label = batch if isinstance(batch, (tuple, list)) else (batch, None)
        nats = -ops.mean(self.log_prob(x, label, training))
        bits = nats / (math.prod(self.image_shape) * math.log(2.0)) + self.bits_offset
        return {"loss": nats, "bits_per_dim": bits}

    def log_prob(self, x, label=None, training=False):
        """log p(x) in nats, exact: float32 (B,). x: images (B, H, W, C); label: int (B,), for a conditional model."""
        x = self.ordered(ops.convert_to_tensor(x))
        return self.likelihood.log_prob(self.parameters(x, label, training), x)

    def sample(self, seeds, label=None, temperature=1.0):
        """Images (B, H, W, C), drawn value by value; image i is a function of seed i (and its options) alone.

        Args:
            seeds: int64 (B,); a negative seed asks for fresh noise.
            label: int (B,), for a conditional model.
            temperature: number or (B,), >= 0, see `Likelihood.draw`.
        """
        empty = tf.zeros((tf.shape(seeds)[0], *self.image_shape))
        return self.complete(empty, empty[..., 0], seeds, label, temperature)

    def complete(self, images, masks, seeds, label=None, temperature=1.0):
        """Images of which some pixels are given, the others drawn in the model's order given all pixels before them.

        Given pixels that come later have no influence: in raster order, samples below a given upper half are exact, samples
        above a given lower half ignore it.

        Args:
            images: (B, H, W, C), of which the given pixels are used.
            masks: (B, H, W), 1 for given pixels, 0 for the others.
            seeds, label, temperature: as for `sample`.

        Returns:
            Images (B, H, W, C).
        """
        return self.completed(self.network, self.order, images, masks, seeds, label, temperature)

    def completed(self, network, order, images, masks, seeds, label, temperature, grid=0):
        """`complete` with one network of conditional distributions, its order of pixels and the noise of a grid."""
        form, seeds = incremental_form(network), tf.cast(seeds, tf.int64)
        sampler, network = (autoregressive.naive, network) if form is None else (autoregressive.incremental, form)
        uniforms = autoregressive.noise_of(self.likelihood, self.image_shape, seeds, grid)
        temperature = tf.broadcast_to(tf.cast(temperature, tf.float32), tf.shape(seeds))
        given, masks = (rearranged(tf.cast(maps, tf.float32), order) for maps in (images, masks[..., None]))
        made = sampler(network, self.likelihood, uniforms, temperature, given, masks > 0.5, label)
        return rearranged(made, order and np.argsort(order))


def incremental_form(network):
    """The network's `tfgen.samplers.Incremental` form, or None if it has an operation without one."""
    try:
        return Incremental(network)
    except NotIncremental:
        return None


def rearranged(maps, order):
    """Maps (B, H, W, k) whose pixel i, in raster order, is pixel order[i]; as they are for None."""
    if order is None:
        return maps
    height, width, channels = maps.shape[1:]
    flat = ops.take(ops.reshape(maps, (-1, height * width, channels)), order, axis=1)
    return ops.reshape(flat, (-1, height, width, channels))

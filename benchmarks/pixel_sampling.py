"""Sampling of autoregressive models: the incremental sampler against the naive one, which runs the network once per pixel.

Before anything is timed, two assertions on integer levels: one parallel pass over the finished samples with the same noise
draws them again, and the naive sampler gives the same first pixels. The timed run of the naive sampler is checked as well.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions import Categorical
from tfgen.models import Autoregressive
from tfgen.networks import pixelcnn, transformer
from tfgen.samplers import autoregressive
from tfgen.verbs import graphs

LEVELS = 16
MARKS = {"gated_pixelcnn": 150, "image_transformer": 80}


def networks(image_shape, fast):
    """{name: function that builds the network}: gated PixelCNN 7x64, causal transformer 4x128 over all pixels so far."""
    blocks, filters, units = (2, 8, 16) if fast else (7, 64, 128)
    pixels = math.prod(image_shape[:2])
    return {"gated_pixelcnn": lambda: pixelcnn.gated_pixelcnn(image_shape, LEVELS, filters, blocks, kernel_size=3),
            "image_transformer": lambda: transformer.image_transformer(
                image_shape, LEVELS, LEVELS, units, min(blocks, 4), 4, 4 * units, block_length=pixels)}


def variants(name, fast=False, batch_size=16):
    """{"incremental", "naive_sampler"}: functions without arguments that sample a batch of images.

    Args:
        name: of `networks`.
        fast: tiny network and images.
        batch_size: images per batch.
    """
    keras.utils.set_random_seed(0)
    model = Autoregressive(networks((6, 6, 1) if fast else (28, 28, 1), fast)[name](), Categorical(LEVELS))
    height, width, _ = model.image_shape
    seeds, ones = tf.range(batch_size, dtype=tf.int64), tf.ones(batch_size)
    call = graphs.function(model, "sample")
    images = call(seeds, ones)["images"]
    noise = autoregressive.noise_of(model.likelihood, model.image_shape, seeds)
    nothing = tf.zeros((batch_size, *model.image_shape)), tf.zeros((batch_size, height, width, 1), bool)

    def check(others, pixels=height * width):
        ours, theirs = (np.rint(x * (LEVELS - 1)).reshape(batch_size, -1)[:, :pixels] for x in (images, others))
        assert np.array_equal(ours, theirs), f"{name}: {np.sum(ours != theirs)} values differ between the samplers"

    @tf.function
    def sampled(pixels):
        return autoregressive.naive(model.network, model.likelihood, noise, ones, *nothing, pixels=pixels)

    def incremental():
        check(call(seeds, ones)["images"])
        assert call.experimental_get_tracing_count() == 1, f"{name}: the sampler was traced again"

    def naive(pixels=height * width):
        check(sampled(tf.constant(pixels)), pixels)

    check(model.likelihood.draw(model.parameters(images), noise, ones))
    naive(2)
    return {"incremental": incremental, "naive_sampler": naive}

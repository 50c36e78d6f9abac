"""Sampling of autoregressive models: the incremental sampler against the naive one, which runs the network once per pixel.

`python -m benchmarks.pixel_sampling` prints seconds per batch of images and their ratio, measured in one run on one thread.
The naive sampler is timed on its first pixels alone, because each of its steps costs the same; its time for a whole image is
that time divided by the share of these pixels. Before anything is timed, two assertions on integer levels: one parallel pass
over the finished samples with the same noise draws them again, and the naive sampler gives the same first pixels.
"""

import argparse
import json
import math

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing
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


def measure(name, build, batch_size=16, naive_pixels=4, rounds=3):
    """Seconds per batch of whole images by both samplers, and how many times as fast the incremental one is.

    Args:
        name: for the title.
        build: function without arguments that returns the network.
        batch_size: images per batch.
        naive_pixels: pixels on which the naive sampler is timed.
        rounds: interleaved repetitions.

    Returns:
        {"name", "parameters", "mismatches", "traces", "incremental_s", "naive_s", "naive_pixels", "ratio"}.
    """
    keras.utils.set_random_seed(0)
    model = Autoregressive(build(), Categorical(LEVELS))
    height, width, _ = model.image_shape
    seeds, ones = tf.range(batch_size, dtype=tf.int64), tf.ones(batch_size)
    call = graphs.function(model, "sample")
    images = call(seeds, ones)["images"]
    noise = autoregressive.noise_of(model.likelihood, model.image_shape, seeds)
    again = model.likelihood.draw(model.parameters(images), noise, ones)
    mismatches = int(np.sum(np.rint(again * (LEVELS - 1)) != np.rint(images * (LEVELS - 1))))
    nothing = tf.zeros((batch_size, *model.image_shape)), tf.zeros((batch_size, height, width, 1), bool)

    @tf.function
    def naive():
        return autoregressive.naive(model.network, model.likelihood, noise, ones, *nothing, pixels=naive_pixels)

    first = np.rint(naive() * (LEVELS - 1)).reshape(batch_size, -1)[:, :naive_pixels]
    mismatches += int(np.sum(first != np.rint(images * (LEVELS - 1)).reshape(batch_size, -1)[:, :naive_pixels]))
    assert not mismatches, f"{name}: {mismatches} values differ between the samplers"
    wall, _ = timing.interleave({"incremental": lambda: call(seeds, ones)["images"].numpy(),
                                 "naive": lambda: naive().numpy()}, rounds)
    share = naive_pixels / (height * width)
    wall["naive"] = [seconds / share for seconds in wall["naive"]]
    return {"name": name, "parameters": model.count_params(), "mismatches": mismatches,
            "traces": call.experimental_get_tracing_count(), "incremental_s": timing.spread(wall["incremental"]),
            "naive_s": timing.spread(wall["naive"]), "naive_pixels": naive_pixels,
            "ratio": timing.speedup(wall, "incremental", "naive")}


def run(fast=False, image_shape=(28, 28, 1), **options):
    """[result of `measure`] of every network; `fast`: tiny networks."""
    shape = (6, 6, 1) if fast else image_shape
    return [measure(name, build, **options) for name, build in networks(shape, fast).items()]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="tiny networks, for tests")
    parser.add_argument("--threads", type=int, default=1, help="threads of TensorFlow")
    parser.add_argument("--naive-pixels", type=int, default=4, help="pixels on which the naive sampler is timed")
    given = parser.parse_args(arguments)
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    for made in run(given.fast, naive_pixels=given.naive_pixels):
        print(json.dumps(made | {"mark": MARKS[made["name"]]}))


if __name__ == "__main__":
    main()

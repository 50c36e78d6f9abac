"""Training on more images than memory holds: `python -m benchmarks.streaming`.

Makes a packed folder of 30 GB of 256x256x3 images, of which all shards but the last ones are hard links to one file, and
measures: the memory of a process that trains a small model on it for 200 steps, and the speed of these steps beside the same
model on a set of the same images that is held in memory, in turns. Reads come from the system's page cache, as those of a
folder do that was just written; a disk must deliver 0.2 MB for each image that is trained on.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from benchmarks import machine, timing
from tfgen import data, recipes
from tfgen.data import stores
from tfgen.data.readers import shards
from tfgen.figures import records
from tfgen.runs.fitting import fit

SHAPE, BATCH, STEPS, GIGABYTES = (256, 256, 3), 16, 200, 30.0
# Images in a shard; steps of a round, and rounds, of the comparison of speeds.
IN_SHARD, ROUND, ROUNDS = 1024, 20, 9
VALUES = {"filters": 8, "latent_dim": 16}
MARKS = {"speed": 0.9, "memory": 2.0}


def images(count, seed, shape=SHAPE):
    """Yields uint8 images: coarse noise, enlarged."""
    random, side = np.random.default_rng(seed), shape[0] // 8
    for _ in range(count):
        yield random.integers(0, 256, (side, shape[1] // 8, shape[2]), np.uint8).repeat(8, 0).repeat(8, 1)


def write(folder, split, count, seed, copies=1, shape=SHAPE):
    """Writes a split of `count` images, in one shard, and links to it. Returns its entry of the index."""
    writer = shards.Writer(folder, split, count * int(np.prod(shape)))
    for image in images(count, seed, shape):
        writer.add(image)
    for number in range(1, copies):
        writer.shards.append(f"{split}-{number:05}.npy")
        os.link(folder / writer.shards[0], folder / writer.shards[-1])
    writer.count, writer.hashes = copies * count, writer.hashes * copies
    return writer.finish()


def make(folder, copies, in_shard=IN_SHARD, shape=SHAPE):
    """Writes a packed folder with `copies` times the training images of one shard; returns its path."""
    folder.mkdir()
    counts = {"train": (in_shard, 0, copies), "validation": (8, 1, 1), "test": (8, 2, 1)}
    shards.write_index(folder, class_names=[], category=False, reading={"image_size": None, "resize": "stretch"},
                       splits={split: write(folder, split, *count, shape) for split, count in counts.items()})
    return folder


class Training:
    """A small VAE on a packed folder, trained for a few steps at a time.

    Args:
        folder: the packed folder.
        hold: whether its images are held in memory.
        batch_size: images per step.
    """

    def __init__(self, folder, hold, batch_size=BATCH):
        stores.SHARE = float(hold)  # all that is available, or none of it
        self.dataset, self.recipe, self.batch_size, self.done = data.load(folder), recipes.find("vae"), batch_size, 0
        assert bool(self.dataset.streamed()) != hold
        keras.utils.set_random_seed(0)
        self.model = self.recipe.model(self.dataset.spec, **VALUES)

    def __call__(self, steps):
        fit(self.model, self.dataset, self.recipe, self.batch_size, self.done // steps + 1, done=self.done, steps=steps,
            validate=False)
        self.done += steps


def memory_of_process():
    """{what: GB} of this process: the most that was resident, and what is: its own memory, and files that it maps."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    found = {key: value.split() for key, value in (line.split(":", 1) for line in lines)}
    names = {"peak_resident": "VmHWM", "own_memory": "RssAnon", "mapped_files": "RssFile"}
    return {f"{name}_gb": float(f"{int(found[key][0]) * 1024 / 1e9:.3g}") for name, key in names.items()}


def child(folder, steps, batch_size):
    """Trains on a streamed folder in this process; prints its memory."""
    Training(folder, False, batch_size)(steps)
    print(json.dumps(memory_of_process()))


def measured_child(folder, steps, batch_size):
    """The memory of a process of its own that trains on a folder."""
    command = [sys.executable, "-m", "benchmarks.streaming", "--child", str(folder), str(steps), str(batch_size)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def speeds(large, small, rounds=ROUNDS, steps=ROUND, batch_size=BATCH):
    """{quantity: spread} of training on a streamed folder beside one that is held, in turns."""
    trainings = {"streamed": Training(large, False, batch_size), "held": Training(small, True, batch_size)}
    wall, cpu = timing.interleave({name: lambda one=one: one(steps) for name, one in trainings.items()}, rounds)
    values = {f"{name}_images_per_s": timing.spread(steps * batch_size / second for second in wall[name]) for name in wall}
    return values | {"streamed_over_held": timing.speedup(wall, "streamed", "held"),
                     "streamed_over_held_cpu": timing.speedup(cpu, "streamed", "held")}


def run(folder, fast=False):
    """Measures memory and speed with files in a folder; writes a record unless fast; returns the values."""
    shape, in_shard = ((16, 16, 3), 64) if fast else (SHAPE, IN_SHARD)
    copies = 4 if fast else -(-int(GIGABYTES * 1e9) // (in_shard * int(np.prod(shape))))
    steps, batch_size, rounds = (4, 8, 1) if fast else (STEPS, BATCH, ROUNDS)
    large, small = (make(folder / name, count, in_shard, shape) for name, count in (("large", copies), ("small", 1)))
    values = measured_child(large, steps, batch_size)
    print(f"{copies * in_shard} images of {'x'.join(map(str, shape))}, {steps} steps: {values}", flush=True)
    found = speeds(large, small, rounds, 2 if fast else ROUND, batch_size)
    print("\n".join(f"{key}: {spread}" for key, spread in found.items()), flush=True)
    values |= {key if part == "median" else f"{key}_{part}": number for key, spread in found.items()
               for part, number in spread.items()}
    if not fast:
        records.record("bench-streaming", values, title="Training on 30 GB of images in shards, beside images in memory",
                       command="python -m benchmarks.streaming", seeds=[0],
                       budget={"steps": STEPS, "rounds": ROUNDS, "steps_a_round": ROUND},
                       data={"name": "coarse noise", "image_shape": SHAPE, "batch_size": BATCH,
                             "images": copies * in_shard, "images_held": in_shard,
                             "files": f"{copies} hard links to one shard, read from the page cache"},
                       machine=machine.described(threads=1),
                       published="none; ratios within one run: medians over rounds, with ranges", marks=MARKS)
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few steps on small images, no record: to see that it runs")
    parser.add_argument("--folder", type=pathlib.Path, help="where the files are made; default: the system's temporary one")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if arguments.child:
        folder, steps, batch_size = arguments.child
        return child(folder, int(steps), int(batch_size))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(pathlib.Path(folder), arguments.fast)


if __name__ == "__main__":
    main()

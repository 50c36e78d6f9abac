"""Training speed under settings of TensorFlow's two pools of threads, side by side.

`python -m benchmarks.threads` starts one process per recipe and setting, lets them train in turns, one at a time, and writes
`results/bench-threads.json`. A setting is (threads within an operation, operations at once); 0 is TensorFlow's own choice,
which `tfgen train` leaves as it is.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing
from benchmarks.job import SHAPE, passes
from tfgen import data, recipes
from tfgen.figures import records

# {recipe: (batch size, batches a pass)}
RECIPES = {"vae": (128, 64), "dcgan": (64, 20), "wgan_gp": (64, 20)}
SETTINGS = ((0, 0), (2, 2), (1, 2), (2, 1), (1, 1))


def work(recipe, intra, inter):
    """Trains for a pass at each line of standard input, and answers with the images per second."""
    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    rows, batches = RECIPES[recipe]
    keras.utils.set_random_seed(0)
    model = recipes.find(recipe).model(data.DataSpec("random", SHAPE))
    taken = getattr(model, "batches_per_step", 1)
    model.steps_per_execution = min(16, batches // taken)
    images = np.random.default_rng(0).random((rows * batches, *SHAPE), np.float32)
    dataset = passes(images, rows * taken)
    model.fit(dataset, verbose=0)
    for _ in iter(sys.stdin.readline, ""):
        start = time.perf_counter()
        model.fit(dataset, verbose=0)
        print(json.dumps(len(images) / (time.perf_counter() - start)), flush=True)


def name_of(recipe, intra, inter):
    return f"{recipe} {intra} {inter}"


def measure(names, settings, rounds):
    """{name of a recipe and setting: [images per second of each round]}."""
    jobs = [(recipe, *setting) for recipe in names for setting in settings]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    workers = {job: subprocess.Popen([sys.executable, "-m", "benchmarks.threads", "--worker", *map(str, job)], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet)
               for job in jobs}
    found = {job: [] for job in jobs}
    try:
        for index in range(rounds):
            for job in jobs[::-1] if index % 2 else jobs:
                workers[job].stdin.write("\n")
                workers[job].stdin.flush()
                found[job].append(float(workers[job].stdout.readline()))
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    return {name_of(*job): rates for job, rates in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="one recipe, two settings, a round, no record")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker[0], *map(int, arguments.worker[1:]))
    names, settings, rounds = (["vae"], SETTINGS[:2], 1) if arguments.fast else (list(RECIPES), SETTINGS, 9)
    rates = measure(names, settings, rounds)
    values = {}
    for recipe in names:
        usual = rates[name_of(recipe, 0, 0)]
        for setting in settings:
            own = rates[name_of(recipe, *setting)]
            ratio = timing.spread(mine / theirs for mine, theirs in zip(own, usual, strict=True))
            values[f"images_per_s {name_of(recipe, *setting)}"] = timing.spread(own)["median"]
            values |= {f"over_usual {name_of(recipe, *setting)}{end}": ratio[part]
                       for part, end in (("median", ""), ("min", "_min"), ("max", "_max"))}
            print(f"{name_of(recipe, *setting):16} {values[f'images_per_s {name_of(recipe, *setting)}']:9.5g} images/s, "
                  f"{ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f}) of TensorFlow's own choice", flush=True)
    if not arguments.fast:
        records.record("bench-threads", values, title="Training speed under settings of TensorFlow's pools of threads",
                       command="python -m benchmarks.threads", seeds=[0], budget={"rounds": rounds},
                       data={"name": "random", "image_shape": SHAPE},
                       machine={"device": "CPU", "cores": os.cpu_count()}, published="none")
    return values


if __name__ == "__main__":
    main()

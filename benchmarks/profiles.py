"""Where the time of a training step goes: shares of its operations, for each recipe whose speed is measured.

`python -m benchmarks.profiles` profiles some steps of each recipe on one core and writes `results/profiles.json`. Operations
of one kind are added up; what the profiler itself takes is in none of them, so that shares are of the operations' own time.
"""

import argparse
import collections
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import machine
from benchmarks.bench import confine
from benchmarks.job import SHAPE
from tfgen import data, recipes
from tfgen.figures import records

# {recipe: (hyperparameters, batch size, options of the data)}, as the benchmarks of speed have them.
RECIPES = {
    "vae": ({}, 128, {}), "dcgan": ({}, 64, {}), "wgan_gp": ({}, 64, {}),
    "pix2pix": ({"filters": 32}, 8, {"pairs": "edges"}),
    "cyclegan": ({"filters": 16, "total_steps": 0}, 4, {"domains": ("0", "1")}),
    "realnvp": ({}, 16, {}), "gated_pixelcnn": ({}, 16, {"levels": 16}), "vqvae": ({"codebook_size": 256}, 64, {}),
    "edm": ({"filters": 32}, 32, {}), "denoising": ({}, 128, {}), "stylegan": ({"filters": 16, "stage_steps": 1}, 32, {}),
    "pixelcnnpp": ({"filters": 16, "blocks": 1}, 8, {})}
REST = "element by element"
# The first kind that a part of whose name an operation has.
KINDS = {
    "convolutions": ("Conv2D", "DepthwiseConv"), "matrix products": ("MatMul", "Einsum"),
    "normalisation": ("FusedBatchNorm", "Rsqrt"), "random numbers": ("Random",),
    "slices, padding, layout": ("Slice", "Pad", "Concat", "Transpose", "Reshape", "Pack", "Split", "Tile", "DepthToSpace",
                                "SpaceToDepth", "Gather", "Resize", "Pool"),
    "sums and means": ("Sum", "Mean", "AddN", "BiasAddGrad", "Max", "ArgM"),
    "variables": ("Assign", "ReadVariable", "ResourceApply")}
# Whose names have a part of another kind's: the larger of two values, not that of many.
ALONE = ("Maximum",)
# Random images, of two classes.
ROWS = 1000
# Events that contain others.
OUTER = ("train_step", "Execute", "Run", "Process", "PartitionedCall", "While", "If", "FunctionRun", "__inference")


def kind_of(operation):
    """The kind of an operation's type."""
    if operation in ALONE:
        return REST
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), REST)


def by_kind(found):
    """{kind: sum} of {type of operation: number}, the largest first."""
    kinds = collections.Counter()
    for name, number in found.items():
        kinds[kind_of(name)] += number
    return dict(kinds.most_common())


def operations(run, steps):
    """{type: milliseconds per step} of what `run()` computes, called `steps` times."""
    found = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            run()
        tf.profiler.experimental.stop()
        for path in pathlib.Path(folder).rglob("*.xplane.pb"):
            space = xplane_pb2.XSpace.FromString(path.read_bytes())
            for plane in space.planes:
                for event in (event for line in plane.lines for event in line.events):
                    name = plane.event_metadata[event.metadata_id].name
                    # An operation is "place in the graph:type".
                    if ":" in name and "::" not in name and not any(part in name.rsplit(":", 1)[1] for part in OUTER):
                        found[name.rsplit(":", 1)[1].removeprefix("_MklNative")] += event.duration_ps / 1e9 / steps
    return dict(found.most_common())


def step_of(recipe, values, batch_size, options):
    """A function without arguments that takes a training step of a recipe, on random images."""
    entry, rng = recipes.find(recipe), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "random.npz"
        np.savez(path, x_train=rng.integers(0, 256, (ROWS, *SHAPE), "uint8"), y_train=rng.integers(0, 2, ROWS))
        dataset = data.load(str(path), **options)
    keras.utils.set_random_seed(0)
    model = entry.model(dataset.spec, **values)
    batch = next(iter(dataset.train(batch_size * model.batches_per_step, view=entry.views(dataset, model)[0])))
    step = tf.function(model.train_step, autograph=False)
    return lambda: step(batch)


def warm(recipe):
    """The step of a recipe, run some times; one that grows has then grown."""
    run = step_of(recipe, *RECIPES[recipe])
    for _ in range(5):
        run()
    return run


def profile(recipe, steps=10):
    """{"kinds": {kind: share}, "operations": {type: share}, the six longest} of a recipe's step."""
    found = operations(warm(recipe), steps)
    total = sum(found.values())
    return {"kinds": {kind: round(milliseconds / total, 4) for kind, milliseconds in by_kind(found).items()},
            "operations": {name: round(found[name] / total, 4) for name in list(found)[:6]}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="one recipe, one step, no record: to see that it runs")
    arguments = parser.parse_args()
    confine(1)
    table = {}
    for recipe in ["vae"] if arguments.fast else RECIPES:
        table[recipe] = profile(recipe, 1 if arguments.fast else 10)
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in table[recipe]["kinds"].items())
        print(f"{recipe:16}{kinds}", flush=True)
        keras.backend.clear_session()
    if not arguments.fast:
        records.record("profiles", {f"{recipe} {kind}": share for recipe, row in table.items()
                                    for kind, share in row["kinds"].items()},
                       title="Shares of a training step's time by kind of operation, one core",
                       command="python -m benchmarks.profiles", seeds=[0], table=table,
                       budget={recipe: {"settings": values, "batch_size": rows} for recipe, (values, rows, _) in
                               RECIPES.items()}, data={"name": "random", "image_shape": SHAPE}, published="none",
                       machine=machine.described(threads=1))
    return table


if __name__ == "__main__":
    main()

"""Training speed on two cores over that on one, in tfgen and in PyTorch, and which operations share their work.

`python -m benchmarks.cores` starts a process for each recipe, library and number of cores, which train in turns, one at a
time; others profile tfgen's steps. It writes `results/bench-cores.json`. Times of a kind of operation are added up over
threads: where the sum is as large on two cores as on one, its operations gain only by running beside others, be they divided
or not, for of two divided ones at once each has one core's time. Which they are, the pools of threads tell: with operations
one at a time, all gain is of divided ones (`python -m benchmarks.settings --only threads`, "2 1" over "1 1").
"""

import argparse
import statistics
import sys

import keras

from benchmarks import machine, profiles, timing
from benchmarks.bench import confine
from benchmarks.job import SHAPE, fitting, random_images
from benchmarks.settings import CONVOLUTIONAL
from tfgen import data, recipes
from tfgen.errors import Failure
from tfgen.figures import records

LIBRARIES = ("tfgen", "torch")
CORES, MARK = (1, 2), 1.7


def trainer(library, recipe, rows, batches):
    """A function without arguments that trains for a pass over random images; PyTorch in the layout channels_last."""
    keras.utils.set_random_seed(0)
    model, images = recipes.find(recipe).model(data.DataSpec("random", SHAPE)), random_images(rows, batches)
    if library == "tfgen":
        return fitting(model, images, rows)
    from benchmarks import torch_gan, torch_loop

    if recipe in torch_loop.LOSSES:
        return torch_loop.trainer(recipe, model, images, rows, 1e-3, channels_last=True)
    return torch_gan.Twin(recipe, model, channels_last=True).trainer(images, rows)


def work(measured, recipe, cores):
    """Answers each line of standard input: with the images per second of a pass by a library, or with {kind of operation:
    milliseconds per training step} ("operations")."""
    confine(cores)
    if measured == "operations":
        step = profiles.warm(recipe)
        return timing.answering(lambda: profiles.by_kind(profiles.operations(step, 10)))
    rows, batches = CONVOLUTIONAL[recipe]
    return timing.rates(trainer(measured, recipe, rows, batches), rows * batches)


def measure(recipe, measured, rounds, cores=CORES):
    """{number of cores: [answer of each round]} of `work`."""
    command = [sys.executable, "-m", "benchmarks.cores", "--worker", measured, recipe]
    return timing.in_turns({count: ([*command, str(count)], {}) for count in cores}, rounds)


def compare(recipe, rounds):
    """{quantity: number}: speeds by library, their ratios within a round, and milliseconds by kind of operation."""
    values = {}
    for library in LIBRARIES:
        one, two = measure(recipe, library, rounds).values()
        ratio = timing.spread(b / a for a, b in zip(one, two, strict=True))
        values |= {f"scaling {recipe}, {library}{end}": ratio[part]
                   for part, end in (("median", ""), ("min", "_min"), ("max", "_max"))}
        values |= {f"images_per_s {recipe}, {library}, {count}": timing.spread(rates)["median"]
                   for count, rates in zip(CORES, (one, two))}
        print(f"{recipe:10}{library:8}{ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f})", flush=True)
    one, two = measure(recipe, "operations", rounds).values()
    for kind in one[0]:
        alone, shared = (statistics.median(answer.get(kind, 0.0) for answer in answers) for answers in (one, two))
        values |= {f"ms {recipe}, {kind}, 1": round(alone, 3), f"ms {recipe}, {kind}, 2": round(shared, 3)}
        values |= {f"kind {recipe}, {kind}": round(alone / shared, 2)} if shared else {}
        print(f"{'':10}{kind:26}{alone:9.2f} ms{shared:9.2f} ms", flush=True)
    return values


def reason(recipe, values):
    """What is known of why a recipe gains less than MARK by a second core: its longest kinds of operations."""
    kinds = sorted(((alone, key.removeprefix(f"ms {recipe}, ").removesuffix(", 1")) for key, alone in values.items()
                    if key.startswith(f"ms {recipe}, ") and key.endswith(", 1")), reverse=True)
    return "added up over threads, on one core and on two, " + ", ".join(
        f"{kind} take {alone:.3g} and {values[f'ms {recipe}, {kind}, 2']:.3g} ms a step" for alone, kind in kinds[:3])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(CONVOLUTIONAL), choices=list(CONVOLUTIONAL))
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(*arguments.worker[:2], int(arguments.worker[2]))
    rounds, values = 5, {}
    for recipe in arguments.only:
        values |= compare(recipe, rounds)
    if set(arguments.only) == set(CONVOLUTIONAL):
        records.record(machine.record_name("bench-cores"), values, title="Training speed on two cores over one", seeds=[0],
                       command="python -m benchmarks.cores", budget={"rounds": rounds, "batches_a_pass": {
                           recipe: batches for recipe, (_, batches) in CONVOLUTIONAL.items()}},
                       data={"name": "random", "image_shape": SHAPE}, machine=machine.described(), published="none",
                       marks={f"scaling {recipe}, tfgen": MARK for recipe in ("vae", "dcgan")},
                       missed={f"scaling {recipe}, tfgen": reason(recipe, values) for recipe in CONVOLUTIONAL})


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"error: {error}")

"""Training speed under settings of TensorFlow that its environment has, side by side.

`python -m benchmarks.settings` compares sizes of its two pools of threads (`results/bench-threads.json`), and oneDNN's
kernels with its own (`results/bench-onednn.json`). It starts a process per setting of a recipe, which train in turns, one at
a time.
"""

import argparse
import dataclasses
import sys

import keras

from benchmarks import machine, timing
from benchmarks.job import SHAPE, fitting, random_images
from tfgen import data, recipes
from tfgen.errors import Failure
from tfgen.figures import records


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Settings whose speeds are compared.

    Attributes:
        recipes: {recipe: (batch size, batches a pass)}.
        settings: {label: environment variables}, of which the first is what the others are compared with.
    """

    title: str
    recipes: dict
    settings: dict


def pools(intra, inter):
    return {"TF_NUM_INTRAOP_THREADS": str(intra), "TF_NUM_INTEROP_THREADS": str(inter)}


CONVOLUTIONAL = {"vae": (128, 64), "dcgan": (64, 20), "wgan_gp": (64, 20)}
COMPARISONS = {
    # Threads within an operation, operations at once; 0 is TensorFlow's own choice, which `tfgen train` leaves as it is.
    "threads": Comparison(
        "Training speed under settings of TensorFlow's pools of threads", CONVOLUTIONAL,
        {f"{intra} {inter}": pools(intra, inter) for intra, inter in ((0, 0), (2, 2), (1, 2), (2, 1), (1, 1))}),
    "onednn": Comparison(
        "Training speed with oneDNN's kernels and without, one thread",
        {"autoencoder": (128, 64), "vae": (128, 16), "gan": (64, 32), "dcgan": (64, 10), "wgan_gp": (64, 10),
         "vqvae": (64, 16), "pixelcnn": (16, 8)},
        {label: pools(1, 1) | {"TF_ENABLE_ONEDNN_OPTS": value} for label, value in (("off", "0"), ("on", "1"))}),
}


def work(recipe, rows, batches):
    """Trains for a pass at each line of standard input, and answers with the images per second."""
    keras.utils.set_random_seed(0)
    model = recipes.find(recipe).model(data.DataSpec("random", SHAPE))
    timing.rates(fitting(model, random_images(rows, batches), rows), rows * batches)


def measure(recipe, rows, batches, settings, rounds):
    """{label of a setting: [images per second of each round]} of a recipe."""
    command = [sys.executable, "-m", "benchmarks.settings", "--worker", recipe, str(rows), str(batches)]
    return timing.in_turns({label: (command, variables) for label, variables in settings.items()}, rounds)


def compare(comparison, rounds):
    """{quantity: number} of all recipes: images per second, and the ratio within a round to the first setting."""
    values = {}
    for recipe, (rows, batches) in comparison.recipes.items():
        rates = measure(recipe, rows, batches, comparison.settings, rounds)
        usual = next(iter(rates.values()))
        for label, own in rates.items():
            name, ratio = f"{recipe} {label}", timing.spread(a / b for a, b in zip(own, usual, strict=True))
            values[f"images_per_s {name}"] = timing.spread(own)["median"]
            values |= {f"over_usual {name}{end}": ratio[part]
                       for part, end in (("median", ""), ("min", "_min"), ("max", "_max"))}
            print(f"{name:24} {values[f'images_per_s {name}']:9.5g} images/s, {ratio['median']:.2f} "
                  f"({ratio['min']:.2f} … {ratio['max']:.2f}) of {next(iter(rates))}", flush=True)
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(COMPARISONS), choices=list(COMPARISONS))
    parser.add_argument("--fast", action="store_true", help="one recipe, two settings, a round, no record")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker[0], *map(int, arguments.worker[1:]))
    for name in arguments.only:
        comparison = COMPARISONS[name]
        if arguments.fast:
            compare(Comparison(comparison.title, {"vae": (128, 64)}, dict(list(comparison.settings.items())[:2])), 1)
            continue
        rounds = 5
        records.record(machine.record_name(f"bench-{name}"), compare(comparison, rounds), title=comparison.title,
                       command=f"python -m benchmarks.settings --only {name}", seeds=[0], budget={"rounds": rounds},
                       data={"name": "random", "image_shape": SHAPE},
                       machine=machine.described(), published="none")


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"error: {error}")

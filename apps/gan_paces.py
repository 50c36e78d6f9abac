"""Speeds of the GAN recipes with the settings of gan_zoo.py, by which its budgets go.

    python apps/gan_paces.py                         # every recipe, 10 to 20 minutes
    python apps/gan_paces.py --recipes sagan         # one, and the reference
    python apps/gan_paces.py --fast                  # digits, half a minute; nothing is kept

Each run adds a speed per recipe to results/gan_zoo/paces.json: training steps per second of CPU time on one thread, in units
of the first speed of `dcgan`, which every run measures along. Use a core that does nothing else: another process there slows
`dcgan` more than others. gan_zoo.py then trains those rows anew that are off their new budgets.
"""

import time
from typing import Annotated

import gan_zoo  # first: it sets the number of threads
import keras
import numpy as np
import typer

from tfgen import data, files, recipes
from tfgen.models.base.stages import Stages
from tfgen.runs import budget

# Epochs whose median counts, after one that traces and one more.
PACE = 8


class Pace(keras.callbacks.Callback):
    """Notes the CPU time of this process in seconds at each epoch's end."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.process_time())

    def steps_per_s(self, stages):
        """Of the median epoch; where stages differ, of all epochs, the second in place of the first, which traces."""
        took = np.diff(self.ends)
        return gan_zoo.EPOCH / float(np.mean([took[0], *took]) if stages else np.median(took[-PACE:]))


def speed(name, dataset, batch_size):
    """Training steps per second of CPU time."""
    clock, steps = Pace(), gan_zoo.EPOCH * (PACE + 2)
    model, _ = budget.train_for_budget(None, recipes.find(name), dataset, batch_size, gan_zoo.settings_of(name, dataset),
                                       steps=steps, callbacks=[clock])
    # Stages share a training's steps, and differ in speed.
    found = clock.steps_per_s(isinstance(model, Stages))
    print(f"{name:14} {found:.3g} steps per CPU second", flush=True)
    keras.backend.clear_session()
    return found


def paces(names, dataset, batch_size=64):
    """{recipe: its training steps per second of CPU time in each run so far} with the zoo's settings.

    Machines differ, and one differs from day to day: all speeds are in units of the reference's first.
    """
    before, reference = gan_zoo.measured(), gan_zoo.REFERENCE
    found = {name: speed(name, dataset, batch_size) for name in dict.fromkeys([reference, *names])}
    unit = before.get(reference, [found[reference]])[0] / found[reference]
    return before | {name: [*before.get(name, []), float(f"{unit * speed:.3g}")] for name, speed in found.items()}


def main(
    only: Annotated[list[str] | None, typer.Option("--recipes", help="recipe to measure; may be repeated")] = None,
    fast: Annotated[bool, typer.Option(help="digits; nothing is kept")] = False,
):
    """Measures the speed of GAN recipes."""
    for name in only or []:
        recipes.find(name)
    found = paces(only or gan_zoo.zoo(), data.load("digits" if fast else "fashion_mnist"))
    if not fast:
        files.write_json(gan_zoo.PACES, found)
    return found


if __name__ == "__main__":
    typer.run(main)

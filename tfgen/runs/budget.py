"""Trainings for a budget of CPU time or steps."""

import time

import keras

from tfgen import data, files, seeds
from tfgen.runs.callbacks import StopOnNaN
from tfgen.runs.fitting import fit
from tfgen.runs.folder import read
from tfgen.runs.training import train


class CpuBudget(keras.callbacks.Callback):
    """Stops training at the end of the epoch in which this process exceeds its CPU-time budget.

    The clock starts after the first call of the training function, which excludes tracing. Epochs should be short.

    Args:
        minutes: CPU time in minutes, summed over threads.

    Attributes:
        steps: number of timed steps.
        cpu, wall: CPU and wall time of these steps in seconds.
    """

    def __init__(self, minutes):
        super().__init__()
        self.minutes = minutes
        self.start = None

    def on_train_batch_end(self, batch, logs=None):
        if self.start is None:
            self.start = int(self.model.optimizer.iterations.numpy()), time.process_time(), time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        steps, cpu, wall = self.start
        self.steps = int(self.model.optimizer.iterations.numpy()) - steps
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        self.model.stop_training = self.cpu >= 60.0 * self.minutes


def train_from_scratch(recipe, name, epochs, out, seed=0, **values):
    """Trains a run of a recipe on the data set `name`; returns (model, dataset, budget for a record)."""
    dataset = data.load(name)
    start, busy = time.perf_counter(), time.process_time()
    model = train(recipe, dataset, out, epochs, values, seed=seed, picture_every=epochs)
    return model, dataset, {"epochs": epochs, "wall_minutes": round((time.perf_counter() - start) / 60, 2),
                            "cpu_minutes": round((time.process_time() - busy) / 60, 2),
                            "hyperparameters": read(out)["hyperparameters"], "seeds": [seed]}


def train_for_budget(minutes, recipe, dataset, batch_size, values=None, seed=0, steps=None, callbacks=()):
    """Trains a recipe from scratch for a CPU-time budget or, with `minutes=None`, for `steps` steps.

    Args:
        minutes: CPU time in minutes, checked every 20 steps, tracing excluded. None with `steps`.
        recipe: a `Recipe`.
        dataset: a `tfgen.data.Dataset`.
        batch_size: images per optimizer update. A model with `critic_steps=k` consumes `k * batch_size` images per
            training step.
        values: {hyperparameter: value}; the other hyperparameters keep the recipe's defaults.
        seed: seed of weights, noise and data order.
        steps: number of training steps, a multiple of 20; schedules of the recipe end with the last.
        callbacks: further callbacks of `fit`; an epoch has 20 steps.

    Returns:
        (model, {"settings", "batch_size", "steps", "images", "images_per_cpu_s", "cpu_minutes", "wall_minutes"}); settings
        are `values`, with the length where the recipe has a schedule.
    """
    seeds.set_random(seed)
    model, settings = recipe.model_for(steps, dataset.spec, values)
    budget = CpuBudget(minutes if steps is None else float("inf"))
    fit(model, dataset, recipe, batch_size, 100_000 if steps is None else steps // 20, seed, steps=20, validate=False,
        callbacks=[StopOnNaN(), budget, *callbacks])
    steps, rows = int(model.optimizer.iterations.numpy()), batch_size * model.batches_per_step
    return model, {"settings": settings, "batch_size": batch_size, "steps": steps, "images": steps * rows,
                   "images_per_cpu_s": round(budget.steps * rows / budget.cpu, 1),
                   "cpu_minutes": round(budget.cpu / 60, 2), "wall_minutes": round(budget.wall / 60, 2)}


def kept(folder, name, recipe, dataset, batch_size, values, steps, again=False, seed=0):
    """A model trained for `steps` steps, or the one that an earlier call left in `folder`.

    Args:
        folder: pathlib.Path; made if it is not there. It gets NAME.keras and the cost as NAME.json.
        name: of the two files.
        again: whether to train although both files are there.
        others: as for `train_for_budget`.

    Returns:
        (model, what `train_for_budget` returns with "parameters" and "weights").
    """
    path, figures = folder / f"{name}.keras", folder / f"{name}.json"
    if again or not (path.exists() and figures.exists()):
        model, cost = train_for_budget(None, recipe, dataset, batch_size, values, seed, steps)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(path)
        files.write_json(figures, cost | {"parameters": model.count_params(), "weights": model.weights_sampled})
        print(f"{name}: {cost['steps']} steps, {cost['cpu_minutes']} CPU minutes", flush=True)
    return keras.models.load_model(path), files.read_json(figures)

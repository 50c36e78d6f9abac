"""What a benchmark is, and `fit` among the variants that it times."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks import timing
from tfgen.data.streams import untuned

SHAPE = (28, 28, 1)


@dataclasses.dataclass
class Job:
    """One benchmark.

    Attributes:
        make: function without arguments that checks and gives {variant: function without arguments}.
        batch_size, steps: images per step; steps, or batches, per round.
        marks: {peer: how many times as fast ours is to be}.
        unit: what is counted: images or steps.
        ours: the variants that are ours.
        limit: seconds after which no further round begins.
        rounds: most rounds.
        clock: function (variants, rounds, limit) -> (wall, cpu), as `timing.interleave`.
        shared: the marks that differ on several cores.
    """

    title: str
    make: Callable
    batch_size: int
    steps: int
    marks: dict
    image_shape: tuple = SHAPE
    unit: str = "images_per_s"
    ours: tuple = ("fit", "fit_16")
    limit: float = 100.0
    rounds: int = 11
    clock: Callable = timing.interleave
    shared: dict = dataclasses.field(default_factory=dict)


def passes(images, rows):
    """A data set of batches of images, an array (N, …) or a tuple of such."""
    return untuned(tf.data.Dataset.from_tensor_slices(images).batch(rows, drop_remainder=True).prefetch(2))


def random_images(rows, batches):
    """Images of a pass, float32 (rows * batches, *SHAPE)."""
    return np.random.default_rng(0).random((rows * batches, *SHAPE), np.float32)


def fitting(model, images, rows):
    """A function without arguments that trains a model for a pass over images, as `tfgen train` does.

    Args:
        images: array (N, …).
        rows: images of a batch, of which a step takes one for each of the critic's updates.
    """
    taken = getattr(model, "batches_per_step", 1)
    model.steps_per_execution = min(16, len(images) // (rows * taken))
    dataset = passes(images, rows * taken)
    return lambda: model.fit(dataset, verbose=0)


def fit_beside(make, first, images, rows, bare, twins, **others):
    """{variant: function without arguments that trains for one pass over the images}.

    Args:
        make: function without arguments: a compiled model.
        first: one of them, whose weights all take.
        images: array (N, …), or a tuple of such.
        rows: images that a step takes.
        bare: function (model, dataset) -> the variant "bare".
        twins: {variant: function}, as they are.
        **others: {variant: function of a model that gives something with `fit`}.
    """
    dataset = passes(images, rows)

    def another(steps_per_execution=1):
        model = make()
        model.set_weights(first.get_weights())
        model.steps_per_execution = steps_per_execution
        return model

    models = {"fit": first, "fit_16": another(min(16, len(dataset)))}
    models |= {name: change(another()) for name, change in others.items()}
    variants = {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()}
    return variants | {"bare": bare(another(), dataset)} | twins

"""Training in bfloat16 beside training in float32, both through `fit` with 16 steps per execution."""

import functools

import keras
import numpy as np

from benchmarks.job import SHAPE, Job, passes
from tfgen import data, recipes
from tfgen.runs.regime import POLICIES, Regime

# Largest difference of a loss, in units of 1 or of the loss, whichever is larger.
APART = 0.02


def model_of(recipe, precision):
    """A compiled model of a recipe, as a run with this precision makes it."""
    keras.utils.set_random_seed(0)
    regime = Regime(precision=precision)
    with regime.building():
        model = recipes.find(recipe).model(data.DataSpec("random", SHAPE))
    return regime.compiled(model, 1)


def check(models, images):
    """Asserts that losses are near each other, that one model computes in bfloat16 and the other does not."""
    found = [model.evaluate(passes(images, len(images)), return_dict=True, verbose=0) for model in models.values()]
    for name, expected in found[0].items():
        assert abs(found[1][name] - expected) <= APART * max(1.0, abs(expected)), (name, expected, found[1][name])
    kinds = [{layer.compute_dtype for layer in model._flatten_layers()} for model in models.values()]
    assert kinds == [{"float32"}, {"float32", "bfloat16"}], kinds


def training(recipe, steps, batch_size):
    """{precision: function without arguments that takes `steps` training steps}, from equal weights."""
    models = {precision: model_of(recipe, precision) for precision in POLICIES}
    first, other = models.values()
    other.set_weights(first.get_weights())
    images = np.random.default_rng(0).random((steps * batch_size, *SHAPE), np.float32)
    check(models, images[:batch_size])
    for model in models.values():
        model.steps_per_execution = min(16, steps)
    dataset = passes(images, batch_size)
    return {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()}


def jobs(fast):
    """{name: Job}."""
    found = {"vae": (2, 8)} if fast else {"vae": (64, 128), "dcgan": (32, 64)}
    return {f"bench-bfloat16-{recipe}": Job(f"Training speed of {recipe} in bfloat16",
                                            functools.partial(training, recipe, steps, batch_size), batch_size, steps,
                                            {"float32": 1.2}, ours=("bfloat16",))
            for recipe, (steps, batch_size) in found.items()}

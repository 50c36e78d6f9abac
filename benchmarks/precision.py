"""Training in bfloat16 beside training in float32, both through `fit` with 16 steps per execution, and beside PyTorch's
autocast to bfloat16, which also keeps weights and losses in float32."""

import functools

import keras
import numpy as np

from benchmarks.job import SHAPE, Job, passes
from tfgen import data, recipes
from tfgen.runs.regime import POLICIES, Regime

try:
    from benchmarks import torch_gan, torch_loop
except ImportError:
    torch_loop = None

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


def autocast(recipe, model, images, batch_size):
    """{variant: the same training in PyTorch with autocast}, if that is installed."""
    flags = {"channels_last": True, "fused": True, "autocast": True}
    variants = {"torch_autocast": flags, "torch_autocast_compiled": flags | {"compiled": True}} if torch_loop else {}
    if recipe == "dcgan":
        return {name: torch_gan.Twin(recipe, model, **each).trainer(images, batch_size) for name, each in variants.items()}
    rate = float(model.optimizer.learning_rate)
    return {name: torch_loop.trainer(recipe, model, images, batch_size, rate, **each) for name, each in variants.items()}


def training(recipe, steps, batch_size):
    """{variant: function without arguments that takes `steps` training steps}, from equal weights."""
    models = {precision: model_of(recipe, precision) for precision in POLICIES}
    first, other = models.values()
    other.set_weights(first.get_weights())
    images = np.random.default_rng(0).random((steps * batch_size, *SHAPE), np.float32)
    check(models, images[:batch_size])
    for model in models.values():
        model.steps_per_execution = min(16, steps)
    dataset = passes(images, batch_size)
    return {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()} | autocast(
        recipe, first, images, batch_size)


def jobs(fast):
    """{name: Job}."""
    found = {"vae": (2, 8)} if fast else {"vae": (64, 128), "dcgan": (32, 64)}
    return {f"bench-bfloat16-{recipe}": Job(f"Training speed of {recipe} in bfloat16",
                                            functools.partial(training, recipe, steps, batch_size), batch_size, steps,
                                            {"float32": 1.25, "torch_autocast": 1.0,
                                                       "torch_autocast_compiled": 1.0}, ours=("bfloat16",))
            for recipe, (steps, batch_size) in found.items()}

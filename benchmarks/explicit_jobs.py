"""The benchmarks of models with explicit densities: training, and sampling pixel by pixel."""

import functools

import keras

from benchmarks import explicit, pixel_sampling, timing
from benchmarks.job import SHAPE, Job, fit_beside

try:
    import torch

    from benchmarks import torch_pixelcnn
except ImportError:
    torch = None
try:
    import normflows

    from benchmarks import torch_flow
except ImportError:
    normflows = None


def density(recipe, image_shape, steps, batch_size, **values):
    """{variant: function without arguments that takes `steps` steps}, checked against each other.

    Args:
        recipe: of `explicit.MODELS`, whose models take `values`.
    """
    keras.utils.set_random_seed(0)
    make = functools.partial(explicit.MODELS[recipe], image_shape, **values)
    first, images = make(), explicit.images(recipe, steps * batch_size, image_shape)
    twins = {}
    if recipe == "realnvp" and normflows:
        twins = torch_flow.twins(first, values)
    elif recipe == "gated_pixelcnn" and torch:
        twins = torch_pixelcnn.twins(first, images[:batch_size])
    explicit.check(recipe, first, twins, images[:batch_size])
    return fit_beside(make, first, images, batch_size, functools.partial(explicit.bare, recipe),
                       {name: twin.trainer(images, batch_size) for name, twin in twins.items()})


def jobs(fast):
    """{name: Job} of models with explicit densities: their training, and sampling pixel by pixel."""
    shape, steps, batch_size = ((8, 8, 1), 1, 2) if fast else (SHAPE, 2, 16)
    flow = {"filters": 4 if fast else 32, "blocks": 1, "couplings": 1 if fast else 3, "scales": 1 if fast else 2}
    network = {"filters": 4, "blocks": 2, "head_filters": 4} if fast else {}
    peers = {"bare": 0.97, "normflows": 1.0, "normflows_channels_last": 1.0}
    found = {"bench-realnvp": Job("Training speed of RealNVP", functools.partial(
        density, "realnvp", shape, steps, batch_size, **flow), batch_size, steps, peers, shape)}
    peers = {"bare": 0.97, "torch": 1.0, "torch_channels_last": 1.0, "torch_compiled": 1.0}
    found["bench-gated-pixelcnn"] = Job("Training speed of gated_pixelcnn, 16 levels", functools.partial(
        density, "gated_pixelcnn", shape, steps, batch_size, **network), batch_size, steps, peers, shape)
    side = 6 if fast else SHAPE[0]
    for name in pixel_sampling.MARKS:
        make = functools.partial(pixel_sampling.variants, name, fast, batch_size)
        found[f"bench-sampling-{name.replace('_', '-')}"] = Job(
            f"Sampling of {name}, 16 levels", make, batch_size, 1, {"naive_sampler": pixel_sampling.MARKS[name]},
            (side, side, 1), ours=("incremental",), rounds=6, clock=timing.once_between)
    return found

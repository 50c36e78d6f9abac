"""Speed of training, side by side with peers in one run, on the CPU.

`python -m benchmarks.bench` measures images/s of `model.fit` beside a bare TensorFlow loop over the same networks and
beside the same networks in PyTorch, and the contractive penalty beside a naive one; it prints a table and writes
`results/bench-*.json`. Before anything is timed, losses, gradients and parameter counts are asserted to be equal.
"""

import argparse
import os

import keras
import numpy as np
import tensorflow as tf

from benchmarks import keras_loop, penalties, timing
from tfgen import data, figures, noise, recipes

try:
    import torch

    from benchmarks import torch_loop
except ImportError:
    torch = None

SPEC = data.DataSpec("random", (28, 28, 1))
RATE = 1e-3
# Ours is to be this many times as fast as the peer.
MARKS = {"bare": 0.97, "torch": 1.5, "naive": 5.0}
TITLES = {"fit": "fit", "fit_1": "fit, steps_per_execution=1", "bare": "bare tf.function loop",
          "torch": "PyTorch, default layout", "torch_channels_last": "PyTorch, channels_last",
          "ours": "tfgen.penalties.Contractive", "naive": "batch_jacobian"}


def build(recipe, weights=None, **flags):
    """A compiled model of a recipe as a user makes it, with given weights."""
    model = recipes.find(recipe).model(SPEC)
    model.compile(keras.optimizers.Adam(RATE), **flags)
    if weights:
        model.set_weights(weights)
    return model


def check(recipe, model, images):
    """Asserts that all peers compute one loss with one gradient on these weights and a given noise."""
    x = tf.constant(images)
    zeros = tf.zeros((len(images), *SPEC.image_shape))
    epsilon = model.posterior_noise(noise.seeds_of(x), 0) if recipe == "vae" else zeros
    found = {"fit": lambda: model.compute_losses(x, training=False)["loss"],
             "bare": lambda: keras_loop.LOSSES[recipe](model, x, epsilon)}
    pairs = {}
    for name, loss_of in found.items():
        with tf.GradientTape() as tape:
            loss = loss_of()
        pairs[name] = float(loss), float(tf.linalg.global_norm(tape.gradient(loss, model.trainable_variables)))
    if torch:
        twin, count = torch_loop.build(recipe, model), sum(int(tf.size(v)) for v in model.trainable_variables)
        assert torch_loop.parameters(twin) == count, (torch_loop.parameters(twin), count)
        shaped = epsilon if recipe == "vae" else tf.transpose(epsilon, (0, 3, 1, 2))
        pairs["torch"] = torch_loop.loss_and_gradient(recipe, twin, images, shaped.numpy())
    for name, pair in pairs.items():
        np.testing.assert_allclose(pair, pairs["fit"], rtol=1e-4, err_msg=f"{recipe}: {name} against fit")


def training(recipe, steps, batch_size, repetitions):
    """{variant: seconds of each round} of `steps` training steps."""
    images = np.random.default_rng(0).random((steps * batch_size, *SPEC.image_shape), np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(batch_size, drop_remainder=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    keras.utils.set_random_seed(0)
    first = build(recipe, steps_per_execution=min(16, steps))
    check(recipe, first, images[:batch_size])
    weights = first.get_weights()
    models = {"fit": first, "fit_1": build(recipe, weights, steps_per_execution=1)}
    variants = {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()}
    variants["bare"] = keras_loop.trainer(recipe, build(recipe, weights), dataset, RATE)
    if torch:
        for name, last in (("torch", False), ("torch_channels_last", True)):
            variants[name] = torch_loop.trainer(recipe, first, images, batch_size, RATE, last)
    return timing.interleave(variants, repetitions)


def summary(seconds, per_round, ours, unit):
    """{quantity: number}: throughputs and ratios as medians, with their ranges."""
    values = {}
    for name, times in seconds.items():
        values[f"{name}_{unit}"] = timing.spread(per_round / second for second in times)
    for name in seconds:
        if name != ours:
            values[f"{ours}_over_{name}"] = timing.speedup(seconds, ours, name)
    return values


def show(title, seconds, values, ours, unit):
    """Prints one benchmark's rows."""
    print(f"\n{title}\n{'':34}{unit:>12}{'min':>9}{'max':>9}   {ours} is … times as fast")
    for name in seconds:
        rate, ratio, mark = values[f"{name}_{unit}"], values.get(f"{ours}_over_{name}"), MARKS.get(name)
        line = f"{TITLES[name]:34}{rate['median']:12.5g}{rate['min']:9.5g}{rate['max']:9.5g}"
        if ratio:
            line += f"   {ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f})"
        if mark:
            line += f", mark {mark}: {'met' if ratio['median'] >= mark else 'MISSED'}"
        print(line, flush=True)


def flat(values):
    """{"a": {"median": m, "min": l, "max": h}} -> {"a": m, "a_min": l, "a_max": h}."""
    return {key if part == "median" else f"{key}_{part}": number
            for key, spread in values.items() for part, number in spread.items()}


def run(fast=False, write=True):
    """Runs every benchmark; returns {name: values}.

    Args:
        fast: a few steps only, for tests; the numbers mean nothing.
        write: whether to write records.
    """
    steps, batch_size, repetitions = (2, 8, 1) if fast else (128, 128, 7)
    about = {"command": "make bench", "budget": {"repetitions": repetitions, "order": "rotating, warm-up excluded"},
             "data": {"name": "random", "image_shape": SPEC.image_shape, "batch_size": batch_size},
             "seeds": [0], "machine": {"device": "CPU", "threads": threads()}, "marks": MARKS,
             "published": "none; ratios within one run, medians of rounds with their ranges"}
    if torch:
        about["peer"] = {"torch": torch.__version__}
    else:
        print("PyTorch is not installed: its columns are left out (pip install '.[bench]')")
    made = {}
    for recipe in ("vae", "denoising"):
        seconds = training(recipe, steps, batch_size, repetitions)
        made[f"bench-{recipe}"] = "images_per_s", f"Training speed of {recipe}", "fit", seconds, steps * batch_size
    for kind in penalties.ENCODERS:
        seconds = timing.interleave(penalties.variants(kind, batch_size=batch_size, steps=steps), repetitions)
        title = f"Contractive penalty, forward and backward, {kind.replace('_', ' ')} encoder, 64 latents"
        made[f"bench-contractive-{kind.replace('_', '-')}"] = "steps_per_s", title, "ours", seconds, steps
    for name, (unit, title, ours, seconds, per_round) in made.items():
        values = summary(seconds, per_round, ours, unit)
        show(f"{title} ({name})", seconds, values, ours, unit)
        made[name] = flat(values)
        if write:
            figures.record(name, made[name], title=title, **about)
    return made


def threads():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few steps, no records: to see that it runs")
    arguments = parser.parse_args()
    # Both libraries on the same cores.
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads())
    if torch:
        torch.set_num_threads(threads())
    run(arguments.fast, write=not arguments.fast)


if __name__ == "__main__":
    main()

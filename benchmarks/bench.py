"""Speed of training, side by side with peers in one run, on the CPU.

`python -m benchmarks.bench` measures images/s of `model.fit` beside a bare TensorFlow loop over the same networks and
beside the same networks in PyTorch, and the contractive penalty beside a naive one; it prints a table and writes
`results/bench-*.json`. Before anything is timed, losses, gradients and parameter counts are asserted to be equal.
Both libraries get one thread each unless told otherwise: with more, a neighbour on the machine stalls whole steps.
Ratios are of wall time; those of CPU time stand beside them, because with one thread they hardly feel neighbours.
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
TITLES = {"fit": "fit", "fit_16": "fit, steps_per_execution=16", "bare": "bare tf.function loop",
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


def training(recipe, steps, batch_size):
    """{variant: function without arguments that takes `steps` training steps}, checked against each other."""
    images = np.random.default_rng(0).random((steps * batch_size, *SPEC.image_shape), np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(batch_size, drop_remainder=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    keras.utils.set_random_seed(0)
    first = build(recipe)
    check(recipe, first, images[:batch_size])
    weights = first.get_weights()
    models = {"fit": first, "fit_16": build(recipe, weights, steps_per_execution=min(16, steps))}
    variants = {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()}
    variants["bare"] = keras_loop.trainer(recipe, build(recipe, weights), dataset, RATE)
    if torch:
        for name, last in (("torch", False), ("torch_channels_last", True)):
            variants[name] = torch_loop.trainer(recipe, first, images, batch_size, RATE, last)
    return variants


def summary(wall, cpu, per_round, ours, unit):
    """{quantity: spread}: throughputs, and how many times as fast each of `ours` is as each peer."""
    values = {f"{name}_{unit}": timing.spread(per_round / second for second in wall[name]) for name in wall}
    for mine in ours:
        for peer in peers(wall, ours):
            values[f"{mine}_over_{peer}"] = timing.speedup(wall, mine, peer)
            values[f"{mine}_over_{peer}_cpu"] = timing.speedup(cpu, mine, peer)
    return values


def peers(seconds, ours):
    """The variants that are not ours."""
    return [name for name in seconds if name not in ours]


def show(title, values, names, ours, unit):
    """Prints one benchmark's rows: medians with their ranges."""
    print(f"\n{title}\n  {'':34}{unit:>12}{'min':>9}{'max':>9}")
    for name in names:
        rate = values[f"{name}_{unit}"]
        print(f"  {TITLES[name]:34}{rate['median']:12.5g}{rate['min']:9.5g}{rate['max']:9.5g}")
    for mine in ours:
        for peer in peers(names, ours):
            ratio, mark = values[f"{mine}_over_{peer}"], MARKS.get(peer)
            cpu = values[f"{mine}_over_{peer}_cpu"]
            verdict = f"; mark {mark}: {'met' if ratio['median'] >= mark else 'MISSED'}" if mark else ""
            print(f"  {TITLES[mine]} / {TITLES[peer]}: {ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f}), "
                  f"CPU time {cpu['median']:.2f} ({cpu['min']:.2f} … {cpu['max']:.2f}){verdict}", flush=True)


def flat(values):
    """{"a": {"median": m, "min": l, "max": h}} -> {"a": m, "a_min": l, "a_max": h}."""
    return {key if part == "median" else f"{key}_{part}": number
            for key, spread in values.items() for part, number in spread.items()}


def run(fast=False, threads=1):
    """Runs every benchmark; writes records unless fast; returns {name: values}.

    Args:
        fast: a few steps only, for tests; the numbers mean nothing.
        threads: that both libraries were given, for the records.
    """
    steps, batch_size, repetitions = (2, 8, 1) if fast else (64, 128, 11)
    about = {"command": "make bench", "seeds": [0], "marks": MARKS,
             "data": {"name": "random", "image_shape": SPEC.image_shape, "batch_size": batch_size},
             "published": "none; ratios within one run: medians over rounds, with ranges",
             "peer": {"torch": torch.__version__ if torch else None}}
    if not torch:
        print("PyTorch is not installed: its rows are left out (pip install '.[bench]')")
    jobs = {f"bench-{recipe}": (f"Training speed of {recipe}", "images_per_s", batch_size, ("fit", "fit_16"),
                                training(recipe, steps, batch_size)) for recipe in ("vae", "denoising")}
    for kind in penalties.ENCODERS:
        title = f"Contractive penalty, forward and backward, {kind.replace('_', ' ')} encoder, 64 latents"
        jobs[f"bench-contractive-{kind.replace('_', '-')}"] = (
            title, "steps_per_s", 1, ("ours",), penalties.variants(kind, batch_size=batch_size, steps=steps // 2))
    made = {}
    for name, (title, unit, per_step, ours, variants) in jobs.items():
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        wall, cpu = timing.interleave(variants, repetitions, limit=100.0)
        taken = steps if unit == "images_per_s" else steps // 2
        values = summary(wall, cpu, taken * per_step, ours, unit)
        show(f"{title} ({name})", values, list(variants), ours, unit)
        made[name] = flat(values)
        if not fast:
            rounds = len(next(iter(wall.values())))
            figures.record(name, made[name], title=title, budget={"rounds": rounds, "steps_a_round": taken},
                           machine={"device": "CPU", "cores": os.cpu_count(), "threads": threads,
                                    "load_before": load}, **about)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few steps, no records: to see that it runs")
    parser.add_argument("--threads", type=int, default=1, help="threads that TensorFlow and PyTorch get, each")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if torch:
        torch.set_num_threads(arguments.threads)
    run(arguments.fast, arguments.threads)


if __name__ == "__main__":
    main()

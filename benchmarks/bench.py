"""Speed of training, side by side with peers in one run, on the CPU.

`python -m benchmarks.bench` measures images/s of `model.fit` beside a bare TensorFlow loop over the same networks and
beside the same networks in PyTorch, and the contractive penalty beside a naive one; it prints a table and writes
`results/bench-*.json`. Before anything is timed, losses, gradients and parameter counts are asserted to be equal.
Both libraries get one thread each unless told otherwise: with more, a neighbour on the machine stalls whole steps.
Ratios are of wall time; those of CPU time stand beside them, because with one thread they hardly feel neighbours.
"""

import argparse
import functools
import os

import keras
import numpy as np
import tensorflow as tf

from benchmarks import gan_loops, keras_loop, penalties, timing
from tfgen import data, figures, noise, recipes

try:
    import torch

    from benchmarks import torch_gan, torch_loop
except ImportError:
    torch = None

SPEC = data.DataSpec("random", (28, 28, 1))
RATE = 1e-3
# Ours is to be this many times as fast as the peer.
MARKS = {"bare": 0.97, "torch": 1.5, "naive": 5.0}
TITLES = {"fit": "fit", "fit_16": "fit, steps_per_execution=16", "bare": "bare tf.function loop",
          "example": "the step of Keras' public example", "torch": "PyTorch, default layout",
          "torch_channels_last": "PyTorch, channels_last",
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


def check_gan(recipe, model, twins, images):
    """Asserts that all peers compute both players' losses with the same gradients on given latents."""
    x, z = tf.constant(images), gan_loops.draw(model, len(images))
    share = np.full((len(images), 1, 1, 1), 0.3, np.float32)
    for penalty in model.penalties:
        penalty.between = lambda real, fake: share * real + (1.0 - share) * fake
    wanted = []
    for losses_of, variables, key in ((model.critic_losses, model.critic_variables, "critic_loss"),
                                      (model.generator_losses, model.generator_variables, "generator_loss")):
        with tf.GradientTape() as tape:
            loss = losses_of(x, {"image": model.make(z, training=True), "latent": z}, training=True)[key]
        wanted += [float(loss), float(tf.linalg.global_norm(tape.gradient(loss, variables)))]
    for penalty in model.penalties:
        del penalty.between
    found = {"bare": gan_loops.losses(recipe, model, x, z, share)}
    for name, twin in twins.items():
        found[name] = twin.losses(images, z.numpy(), share)
        count = [sum(int(tf.size(v)) for v in player) for player in (model.generator_variables, model.critic_variables)]
        assert twin.parameters() == count, (twin.parameters(), count)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted, rtol=1e-3, err_msg=f"{recipe}: {name} against fit")


def adversarial(recipe, steps, batch_size):
    """As `training`, for a GAN; `steps` batches, of which a step takes as many as the critic's updates."""
    keras.utils.set_random_seed(0)
    first = recipes.find(recipe).model(SPEC)
    rows = batch_size * first.batches_per_step
    images = np.random.default_rng(0).random((rows * max(1, steps // first.batches_per_step), *SPEC.image_shape), np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(rows, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def another(**flags):
        model = recipes.find(recipe).model(SPEC)
        model.set_weights(first.get_weights())
        model.steps_per_execution = flags.get("steps_per_execution", 1)
        return model

    twins = {name: torch_gan.Twin(recipe, first, last) for name, last in (("torch", False), ("torch_channels_last", True))
             } if torch else {}
    check_gan(recipe, first, twins, images[:batch_size])
    models = {"fit": first, "fit_16": another(steps_per_execution=min(16, len(images) // rows)),
               "example": gan_loops.Example(recipe, another())}
    variants = {name: lambda model=model: model.fit(dataset, verbose=0) for name, model in models.items()}
    variants["bare"] = gan_loops.bare(recipe, another(), dataset)
    return variants | {name: twin.trainer(images, batch_size) for name, twin in twins.items()}


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


def run(fast=False, threads=1, only=()):
    """Runs every benchmark; writes records unless fast; returns {name: values}.

    Args:
        fast: a few steps only, for tests; the numbers mean nothing.
        threads: that both libraries were given, for the records.
        only: names of the benchmarks to run; none: all.
    """
    steps, batch_size, repetitions = (2, 8, 1) if fast else (64, 128, 11)
    about = {"command": "make bench", "seeds": [0], "marks": MARKS,
             "published": "none; ratios within one run: medians over rounds, with ranges",
             "peer": {"torch": torch.__version__ if torch else None}}
    if not torch:
        print("PyTorch is not installed: its rows are left out (pip install '.[bench]')")
    # name: (title, unit, ours, batch size, batches or steps a round, maker of variants)
    jobs = {f"bench-{recipe}": (f"Training speed of {recipe}", "images_per_s", ("fit", "fit_16"), batch_size, steps,
                                functools.partial(training, recipe, steps, batch_size)) for recipe in ("vae", "denoising")}
    gan_steps, gan_batch = (10, 8) if fast else (20, 64)
    for recipe in ("dcgan", "wgan_gp"):
        jobs[f"bench-{recipe.replace('_', '-')}"] = (
            f"Training speed of {recipe}", "images_per_s", ("fit", "fit_16"), gan_batch, gan_steps,
            functools.partial(adversarial, recipe, gan_steps, gan_batch))
    for kind in penalties.ENCODERS:
        title = f"Contractive penalty, forward and backward, {kind.replace('_', ' ')} encoder, 64 latents"
        jobs[f"bench-contractive-{kind.replace('_', '-')}"] = (
            title, "steps_per_s", ("ours",), batch_size, steps // 2,
            functools.partial(penalties.variants, kind, batch_size=batch_size, steps=steps // 2))
    made = {}
    for name, (title, unit, ours, batch, taken, make) in jobs.items():
        if only and name not in only:
            continue
        variants = make()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        wall, cpu = timing.interleave(variants, repetitions, limit=100.0)
        values = summary(wall, cpu, taken * (batch if unit == "images_per_s" else 1), ours, unit)
        show(f"{title} ({name})", values, list(variants), ours, unit)
        made[name] = flat(values)
        if not fast:
            rounds = len(next(iter(wall.values())))
            figures.record(name, made[name], title=title, budget={"rounds": rounds, "steps_a_round": taken},
                           data={"name": "random", "image_shape": SPEC.image_shape, "batch_size": batch},
                           machine={"device": "CPU", "cores": os.cpu_count(), "threads": threads,
                                    "load_before": load}, **about)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few steps, no records: to see that it runs")
    parser.add_argument("--threads", type=int, default=1, help="threads that TensorFlow and PyTorch get, each")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="such as bench-dcgan; default: all")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if torch:
        torch.set_num_threads(arguments.threads)
    run(arguments.fast, arguments.threads, arguments.only)


if __name__ == "__main__":
    main()

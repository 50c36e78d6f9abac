"""`make bench`: training speed beside a bare loop and PyTorch, and the contractive penalty beside the naive one."""

import json
import os
import statistics

import keras
import numpy as np
import tensorflow as tf
import typer

from benchmarks import bare
from benchmarks.timing import interleaved, ratios
from tfgen import data, figures, penalties, recipes
from tfgen.networks import mlp

BATCH = 128
SHAPE = (28, 28, 1)
MARKS = {"bare": 0.97, "torch": 1.5, "naive": 5.0}


def training(name, steps, rounds, torch_peer):
    """Seconds of `rounds` rounds of `steps` steps: fit, fit with 16 steps a call, the bare loop, PyTorch."""
    images = np.random.default_rng(0).integers(0, 256, (2048, *SHAPE), np.uint8)
    dataset = data.Dataset(data.DataSpec("random", SHAPE), {"train": (images, None)})
    model = recipes.find(name).model(dataset.spec)
    latent = model.latent_shape[0]
    noise_shape, sigma = ((latent,), 1.0) if name == "vae" else (SHAPE, 0.3)
    loss = f"{name}_loss"

    def fit(model):
        stream = dataset.train(BATCH)
        return lambda: model.fit(stream, epochs=1, steps_per_epoch=steps, verbose=0, shuffle=False)

    many = recipes.find(name).model(dataset.spec)
    many.compile(keras.optimizers.Adam(1e-3), steps_per_execution=16)
    twin = keras.models.clone_model(model.encoder), keras.models.clone_model(model.decoder)
    hand = recipes.find(name).model(dataset.spec)
    contenders = {"fit": fit(model), "fit, 16 steps a call": fit(many),
                  "bare": bare.loop(hand, getattr(bare, loss), noise_shape, sigma, dataset.train(BATCH), steps)}
    if torch_peer:
        threads = len(os.sched_getaffinity(0))
        torch_peer.torch.set_num_threads(threads)
        outputs = 2 * latent if name == "vae" else latent
        flat = images.transpose(0, 3, 1, 2)
        for title, last in (("torch", False), ("torch, channels_last", True)):
            encoder, decoder = torch_peer.Encoder(outputs), torch_peer.Decoder(latent)
            check_equal(name, twin, encoder, decoder, torch_peer, images[:16], latent)
            shape = noise_shape if name == "vae" else (1, 28, 28)
            contenders[title] = torch_peer.loop(encoder, decoder, getattr(torch_peer, loss), shape, sigma, flat, BATCH,
                                                steps, last)
    return interleaved(contenders, rounds)


def check_equal(name, networks, encoder, decoder, torch_peer, images, latent):
    """Asserts that both frameworks compute one loss from the same weights and noise."""
    for keras_model, module in zip(networks, (encoder, decoder)):
        torch_peer.copy_weights(keras_model, module)
    x = images.astype("float32") / 255
    noise = np.random.default_rng(1).normal(size=(len(x), latent) if name == "vae" else x.shape).astype("float32")
    ours = float(getattr(bare, f"{name}_loss")(*networks, tf.constant(x), tf.constant(noise)))
    tensors = [torch_peer.torch.tensor(a if a.ndim == 2 else a.transpose(0, 3, 1, 2).copy()) for a in (x, noise)]
    theirs = float(getattr(torch_peer, f"{name}_loss")(encoder, decoder, *tensors))
    assert abs(ours - theirs) < 1e-3 * abs(ours), f"{name}: TensorFlow computes {ours}, PyTorch {theirs}"


def contractive(steps, rounds, hidden):
    """Seconds of the penalty's value and weight gradients, ours and naively, at latent 64."""
    encoder = mlp.encoder(SHAPE, hidden, 64, "sigmoid", "sigmoid")
    x = tf.random.uniform((BATCH, *SHAPE))
    penalty = penalties.Contractive(0.1)

    def of(value):
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                loss = value()
            return loss, tape.gradient(loss, encoder.trainable_variables[:1])

        def run():
            for _ in range(steps):
                made = step()
            return float(made[0])

        return run

    ours, naive = of(lambda: penalty(encoder, x, encoder(x))), of(
        lambda: 0.1 * tf.reduce_mean(penalties.jacobian_norm(encoder, x)))
    if not hidden:
        assert abs(ours() - naive()) < 1e-3 * abs(naive())
    return interleaved({"ours": ours, "naive": naive}, rounds)


def report(name, seconds, ours, peers, images, **about):
    """Prints a benchmark's rows and writes its record."""
    values = {}
    print(f"\n{name}")
    for peer in seconds:
        rate = images / statistics.median(seconds[peer])
        values[f"{peer}: images/s"] = round(rate, 1)
        print(f"  {peer:24} {rate:10.0f} images/s")
    for peer, mark in peers.items():
        if peer in seconds:
            median, least, greatest = ratios(seconds, ours, peer)
            values[f"{ours} / {peer}"] = round(median, 3)
            wanted = f", mark {mark}: {'met' if median >= mark else 'MISSED'}" if mark else ""
            print(f"  {ours} / {peer}: {median:.2f} ({least:.2f} ... {greatest:.2f}){wanted}")
    figures.record(f"bench-{name}", values, title=f"Speed of {name}, batch {BATCH}, 28x28", command="make bench",
                   published="none; ratios of one run, higher is faster", **about)
    return values


def main(steps: int = 30, rounds: int = 9, fast: bool = False):
    """Prints the table and writes `results/bench-*.json`; --fast is for tests."""
    steps, rounds = (2, 2) if fast else (steps, rounds)
    try:
        from benchmarks import torch_peer
    except ImportError:
        torch_peer = None
        print("PyTorch is not here: pip install 'tfgen[bench]' for its rows")
    made = {}
    budget = {"steps": steps, "rounds": rounds, "cpus": len(os.sched_getaffinity(0)),
              "torch": torch_peer.torch.__version__ if torch_peer else None}
    for name in ("vae", "denoising"):
        seconds = training(name, steps, rounds, torch_peer)
        made[name] = report(name, seconds, "fit", {"bare": MARKS["bare"], "torch": MARKS["torch"],
                                                   "torch, channels_last": None}, steps * BATCH, budget=budget)
        made[name] |= {"fit, 16 steps a call / fit": ratios(seconds, "fit, 16 steps a call", "fit")[0]}
        print(f"  16 steps a call / 1: {made[name]['fit, 16 steps a call / fit']:.2f}")
    for title, hidden in (("contractive-one-layer", []), ("contractive-deep", [256])):
        seconds = contractive(max(2, steps // 3), rounds, hidden)
        made[title] = report(title, seconds, "ours", {"naive": MARKS["naive"]}, max(2, steps // 3) * BATCH,
                             budget=budget)
    return json.dumps(made)


if __name__ == "__main__":
    typer.run(main)

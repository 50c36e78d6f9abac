"""How GANs fail, and what cures it: four small problems whose truth is known, a picture each.

    python apps/gan_failure_modes.py            # twenty minutes on one core
    python apps/gan_failure_modes.py --fast     # seconds, too short to learn anything

ring.png    eight modes: a GAN that collapses onto one, the same objective with the networks and the schedule of WGAN-GP,
            which covers them, and WGAN-GP: what cures it here is not the objective
grid.png    25 modes: how many three systems have found, and how sharply, as they train
faces.png   faces of four pixels, one dense layer a player: every weight can be read (Serrano, 2020)
minmax.png  min_x max_y x y, a game in two numbers: simultaneous gradient steps spiral out (Mescheder et al., 2018)
"""

import itertools
import pathlib
import time
from typing import Annotated

import keras
import numpy as np
import typer

from tfgen import GAN, pictures
from tfgen.figures import records
from tfgen.networks import mlp
from tfgen.pictures import scatter
from tfgen.toys import problems, systems

RING_SYSTEMS = {"collapsing_gan": "GAN, small networks,\nwide latents, constant rate",
                "gan": "GAN, networks and\nschedule of WGAN-GP", "wgan_gp": "WGAN-GP"}
GRID_SYSTEMS = {"gan": "GAN", "wgan_gp": "WGAN-GP", "sngan": "SN-GAN"}


def said(found):
    return f"{found['modes']} of {len(found['counts'])} modes, {found['high_quality']:.0%} sharp"


def panels(kept, mixture):
    """A panel a moment, for `plots.planes`."""
    return [(f"step {step}\n{said(mixture.coverage(made))}", made) for step, made in kept.items()]


def draw_ring(path, steps, moments, seed=0):
    """A badly trained GAN, a well trained one and WGAN-GP, samples at several steps in a row; returns what each found."""
    mixture, rows, table = problems.ring(), {}, []
    for name, label in RING_SYSTEMS.items():
        kept = systems.train(name, mixture, steps, seed, moments)[1]
        rows[label], found = panels(kept, mixture), mixture.coverage(kept[steps])
        table.append({"system": name, "seed": seed, "modes": found["modes"], "high_quality": found["high_quality"]})
        print(f"ring, {name}: {said(found)}")
    scatter.planes(path, rows, mixture.draw(2500, seed), "A ring of eight modes: a plain GAN may collapse, and not with the "
                 "networks and schedule\nof WGAN-GP (one training each; \"sharp\": within 3 sigma of a mode)")
    return table


def draw_grid(path, steps, moments, seeds):
    """Three systems over training, samples of the first seed; returns a row of numbers a training."""
    mixture, rows, table = problems.grid(), {}, []
    for name, label in GRID_SYSTEMS.items():
        for seed in seeds:
            busy = time.process_time()
            _, kept = systems.train(name, mixture, steps, seed, moments)
            found = mixture.coverage(kept[steps])
            table.append({"system": name, "seed": seed, "modes": found["modes"], "high_quality": found["high_quality"],
                          "least_of_a_mode": int(found["counts"].min()), "cpu_seconds": time.process_time() - busy})
            print(f"grid, {label}, seed {seed}: {said(found)}, {table[-1]['cpu_seconds']:.0f} CPU seconds")
            rows.setdefault(label, panels(kept, mixture))
    scatter.planes(path, rows, mixture.draw(2500, seeds[0]),
                    "Coverage: a grid of 25 modes (\"sharp\": within 3 sigma of a mode)")
    return table


def draw_faces(path, steps, seed=0):
    """Faces of four pixels by one dense layer a player; prints the weights, returns the mean face that is made."""
    keras.utils.set_random_seed(seed)
    faces = problems.slanted_faces(4096, seed)
    model = GAN(mlp.decoder(1, [], (2, 2, 1), output_activation="sigmoid"), mlp.encoder((2, 2, 1), [], 1), ema=0.99)
    rate = keras.optimizers.schedules.CosineDecay(0.02, steps)
    model.compile(keras.optimizers.Adam(rate, 0.5), steps_per_execution=min(50, steps))
    untrained = model.sample(np.arange(12)).numpy()
    model.fit(faces, batch_size=64, epochs=max(1, steps // 64), verbose=0)
    for player, network in (("generator", model.sampler), ("critic", model.critic)):
        kernel, bias = (" ".join(f"{value:.2f}" for value in weight.ravel()) for weight in network.get_weights())
        print(f"faces, {player}: weights {kernel}, bias {bias} (pixels row by row)")
    made = model.sample(np.arange(12)).numpy()
    pictures.save_rows(path, {"real faces": faces[:12], "made, untrained": untrained, "made, trained": made})
    return made.mean(0)[..., 0]


def main(
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of the pictures")] = None,
    steps: Annotated[int, typer.Option(help="of every training, a multiple of 500")] = 10000,
    seeds: Annotated[list[int], typer.Option(help="of the grid's trainings")] = (10, 11, 12),
    fast: Annotated[bool, typer.Option(help="a few steps; no record is written")] = False,
):
    """Draws the four pictures; records the grid's coverage in results/gan_failure_modes.json."""
    steps, seeds = (20, [0]) if fast else (steps, list(seeds))
    out = out or pathlib.Path("runs" if fast else "results/pictures") / "gan_failure_modes"
    scatter.paths(out / "minmax.png", problems.minmax_paths(),
                   "A game in two numbers, min over x and max over y of x y: each dot is a step, from light to dark", 2.6)
    face = draw_faces(out / "faces.png", 20 if fast else 2000)
    ring = draw_ring(out / "ring.png", min(steps, 6000), [500, 1000, 2000, 5000])
    start = time.perf_counter()
    table = draw_grid(out / "grid.png", steps, [500, 1000, 3000], seeds)
    values = {}
    for name, key in itertools.product(GRID_SYSTEMS, ("modes", "high_quality")):
        numbers = [row[key] for row in table if row["system"] == name]
        values |= {f"{name}_{key}": float(np.mean(numbers)), f"{name}_{key}_min": min(numbers),
                   f"{name}_{key}_max": max(numbers)}
    if not fast:
        values |= {f"ring_{row['system']}_{key}": row[key] for row in ring for key in ("modes", "high_quality")}
        records.record("gan_failure_modes", values, title="GANs on a grid of 25 modes and a ring of eight: modes found and "
                       "share of points within 3 sigma of one", command="python apps/gan_failure_modes.py", seeds=seeds,
                       budget={"steps": steps, "batch_size_a_critic_step": systems.BATCH,
                               "units": [systems.GENERATOR, systems.CRITIC],
                               "cpu_seconds_a_training": round(float(np.mean([row["cpu_seconds"] for row in table]))),
                               "wall_minutes": round((time.perf_counter() - start) / 60, 2)},
                       data={"name": "toys.grid", "samples": 2500}, table=table, ring=ring, picture=f"{out.name}/grid.png",
                       published="PacGAN's table 1 has other networks and budgets")
    print(f"wrote {out}")
    return values | {"table": table, "ring": ring, "face": face.tolist()}


if __name__ == "__main__":
    typer.run(main)

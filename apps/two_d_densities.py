"""Densities in the plane learned by a normalizing flow, beside the truth, and how many nats they miss.

    python apps/two_d_densities.py            # five minutes on one core
    python apps/two_d_densities.py --fast     # seconds, too short to learn much

For each problem the loss on new points is the cross-entropy -E[log q(x)] = H(p) + KL(p || q), and the entropy H(p) of the
truth is known, so that their difference is the divergence, which no model can push below 0. Flows are continuous maps of
one Gaussian: they join what the truth keeps apart by thin filaments, and round off the corners of the checkerboard.
"""

import pathlib
import time
from typing import Annotated

import keras
import numpy as np
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tfgen import Flow, files, seeds
from tfgen.distributions.bijectors import ActNorm, AffineCoupling, Chain, InvertibleConv
from tfgen.figures import records
from tfgen.networks import coupling
from tfgen.toys import densities
from tfgen.verbs.live import Live

PROBLEMS = {"moons": densities.Moons(0.1), "rings": densities.Rings((1.0, 2.0), 0.15),
            "checkerboard": densities.Checkerboard()}


def planar_flow(steps, units, couplings, rate=2e-3):
    """A flow of points, per step actnorm, a linear map and an affine coupling; the rate falls to 0 along a cosine."""
    parts = []
    for index in range(couplings):
        network = coupling.dense_affine(1, 1, units)
        parts += [ActNorm(), InvertibleConv(), AffineCoupling(network, invert=index % 2 == 1)]
    model = Flow(Chain(parts), (2,))
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps), global_clipnorm=10.0),
                  steps_per_execution=min(50, steps))
    return model


def measure(log_prob, problem, count, seed):
    """Nats: cross-entropy on new points, the entropy of the truth, their difference, and its standard error."""
    points = problem.draw(count, seed)
    surplus = problem.log_prob(points) - log_prob(points)
    # Of log p - log q alone, whose sampling error is smaller than that of log q.
    divergence, entropy = float(surplus.mean()), problem.entropy()
    return {"cross_entropy": entropy + divergence, "entropy": entropy, "divergence": divergence,
            "standard_error": float(surplus.std() / np.sqrt(count))}


def density_on_a_grid(log_prob, reach, side):
    """p at the centres of side x side cells of [-reach, reach]^2, rows from top to bottom, and its sum times their area."""
    centres = reach * ((2 * np.arange(side) + 1) / side - 1)
    x, y = np.meshgrid(centres, centres[::-1])
    p = np.exp(log_prob(np.stack([x, y], -1).reshape(-1, 2).astype("float32"))).reshape(side, side)
    return p, float(p.sum() * (2 * reach / side) ** 2)


def draw(path, rows):
    """A row per problem: the true density and the flow's on one scale of brightness, and samples of the flow."""
    figure = Figure(figsize=(9.6, 3.3 * len(rows) + 0.5), dpi=100, layout="constrained", facecolor="white")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots(len(rows), 3, squeeze=False)
    for line, (label, reach, truth, learned, said, points, true_points) in zip(axes, rows):
        for panel, title, density in zip(line, ("true density", said), (truth, learned)):
            panel.imshow(density, extent=(-reach, reach) * 2, vmin=0, vmax=np.quantile(truth, 0.998), cmap="magma")
            panel.set_title(title, fontsize=12)
        # Room around all points; the density is integrated further out.
        edge = 1.15 * np.abs(true_points).max()
        line[2].scatter(*points.T, s=2, color="C0", linewidths=0)
        line[2].set_title("samples of the flow", fontsize=12)
        for panel in line:
            panel.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal", xticks=[], yticks=[])
        line[0].set_ylabel(label, fontsize=12)
    with files.written_aside(path) as aside:
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE).save(aside)


def main(
    out: Annotated[pathlib.Path | None, typer.Option(help="the picture")] = None,
    steps: Annotated[int, typer.Option(help="training steps of 512 points per problem")] = 10000,
    seed: Annotated[int, typer.Option(help="of weights and points")] = 0,
    fast: Annotated[bool, typer.Option(help="a few steps; no record is written")] = False,
):
    """Trains a flow per problem, draws the densities and records the nats in results/two_d_densities.json."""
    steps, units, couplings, count, side = (20, [8], 2, 500, 60) if fast else (steps, [64, 64], 16, 50_000, 400)
    out = out or pathlib.Path("runs" if fast else "results/pictures") / "two_d_densities.png"
    start, busy, rows, values, table = time.perf_counter(), time.process_time(), [], {}, []
    for name, problem in PROBLEMS.items():
        seeds.set_random(seed)
        model = planar_flow(steps, units, couplings)
        model.fit(problem.stream(512, seed), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        live = Live(model)
        log_prob, reach = lambda points, live=live: live("log_prob", points, batch_size=4096), 1.25 * problem.reach
        found = measure(log_prob, problem, count, seed + 1)
        (truth, _), (learned, mass) = (density_on_a_grid(p, reach, side) for p in (problem.log_prob, log_prob))
        rows.append((f"{name}, entropy {found['entropy']:.3f} nats", reach, truth, learned,
                     f"density of the flow, KL {found['divergence']:.3f} nats", live("sample", np.arange(2500)),
                     problem.draw(2500, seed + 1)))
        table.append({"problem": name, "mass_on_the_grid": mass, **found})
        values |= {f"{key} {name}": found[key] for key in ("entropy", "cross_entropy", "divergence")}
        print(f"{name:<13}" + "".join(f"  {key} {value:7.4f}" for key, value in found.items()) + f"  mass {mass:.4f}")
    draw(out, rows)
    if not fast:
        records.record("two_d_densities", values, title="Flows of points in the plane: cross-entropy on new points and "
                       "entropy of the truth, nats", command="python apps/two_d_densities.py", seeds=[seed],
                       budget={"steps": steps, "batch_size": 512, "couplings": couplings, "units": units,
                               "cpu_minutes": round((time.process_time() - busy) / 60, 2),
                               "wall_minutes": round((time.perf_counter() - start) / 60, 2)},
                       data={"name": "toys.densities", "points": count}, table=table, picture=out.name,
                       published="none for these densities")
    print(f"wrote {out}")
    return values | {"table": table}


if __name__ == "__main__":
    typer.run(main)

"""How many network calls a sample of a diffusion model needs: Fréchet distance against calls, for each sampler.

    python apps/diffusion_steps.py                  # Fashion-MNIST: EDM, 30 minutes on one core, then as long for samples
    python apps/diffusion_steps.py --only-train     # the training alone; a later call measures it
    python apps/diffusion_steps.py --fast           # digits, tiny networks, seconds

Every point draws the same seeds from the same weights, so that differences come from the sampler alone. Budget: CPU time of
this process in training, one thread for TensorFlow's operations, without tracing. Settings were chosen on the validation
split, on which the curves are; the distance of 10,000 samples is on the test split.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402, I001
import typer  # noqa: E402

from tfgen import data, pictures, recipes  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.pictures import plots  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

MINUTES, STEPS, BATCH_SIZE = 30.0, 7600, 16
SETTINGS = {"filters": 48, "patch": 2, "residual_blocks": 1, "dropout": 0.0, "data_deviation": 0.8, "level_mean": 0.0,
            "level_deviation": 1.4, "largest_sigma": 160.0, "optimizer": "muon", "learning_rate": 4e-3, "cosine_decay": True,
            "warmup_steps": 200, "ema": 0.999}
TINY = {"filters": 4, "residual_blocks": 1, "grids": 1}
# Of the toolkit's best before, vqgan (apps/images_from_codes.py): the Fréchet distance that is to be beaten.
BEST = 10.67
# Steps of each sampler; `heun` calls the network twice per step, but once in the last.
WAYS = {"dpm": (5, 7, 10, 15, 20), "heun": (3, 5, 8, 10, 18), "ddim": (5, 10, 20, 50), "ancestral": (20, 100)}
REFERENCE = ("ddim", 1000)


def calls(sampler, steps):
    """Network calls of a sample."""
    return 2 * steps - 1 if sampler == "heun" else steps


def measure(live, dataset, extractor, ways, n, seed=0):
    """[{"sampler", "steps", "calls", "frechet_distance"}] on the validation split, n samples each, the same seeds."""
    rows = []
    for sampler, steps in ways:
        found = samples.of_samples(lambda seeds: live("sample", seeds, sampler=sampler, steps=steps), dataset,  # noqa: B023
                                   extractor, "validation", n, seed)
        rows.append({"sampler": sampler, "steps": steps, "calls": calls(sampler, steps),
                     "frechet_distance": found["frechet_distance"]})
        print(f"{sampler:10} {steps:4} steps {rows[-1]['calls']:4} calls: {found['frechet_distance']:.2f}", flush=True)
    return rows


def draw(path, rows, reference, tiles):
    """Draws distance against calls, and below it images of the same seeds."""
    figure = plots.new_figure(9.0, 7.5)
    upper, lower = figure.subfigures(2, 1, height_ratios=[4.2, 3.3])
    axes = upper.add_subplot()
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        points = sorted((row["calls"], row["frechet_distance"]) for row in rows if row["sampler"] == sampler)
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, linewidth=1.5, label=sampler)
    axes.axhline(reference, color="0.4", linestyle="--", linewidth=1.0, label=f"{REFERENCE[0]}, {REFERENCE[1]:,} calls")
    axes.axhspan(0.9 * reference, 1.1 * reference, color="0.9", zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = [5, 10, 20, 50, 100]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.set_xlabel("network calls per image", fontsize=9)
    axes.set_ylabel("Fréchet distance, validation images", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    panels = np.atleast_1d(lower.subplots(len(tiles), 1))
    for panel, (name, images) in zip(panels, tiles.items(), strict=True):
        panel.imshow(pictures.grid(images, len(images)), cmap="gray", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    plots.write_figure(path, figure)


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where the model is kept")] = pathlib.Path("runs/diffusion"),
    n: Annotated[int, typer.Option(help="samples per point of the curves")] = 500,
    again: Annotated[bool, typer.Option("--again", help="train a model that was trained before, too")] = False,
    only_train: Annotated[bool, typer.Option("--only-train", help="stop after the training")] = False,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, seconds; no record is written")] = False,
):
    """Trains EDM within the budget, then measures its samplers."""
    dataset = data.load("digits" if fast else "fashion_mnist")
    n, ways = (100, [("dpm", 2), ("heun", 2)]) if fast else (n, [(name, k) for name, each in WAYS.items() for k in each])
    values, steps, rows = (TINY, 20, 16) if fast else (SETTINGS | {"total_steps": STEPS}, STEPS, BATCH_SIZE)
    model, cost = budget.kept(folder, "edm", recipes.find("edm"), dataset, rows, values, steps, again)
    if only_train:
        return cost
    require(fast or cost["cpu_minutes"] <= MINUTES, f"expected a training of at most {MINUTES:g} CPU minutes, received "
                                                    f"{cost['cpu_minutes']}: lower STEPS and train with --again")
    live, extractor = Live(model), features.classifier(dataset)
    rows = measure(live, dataset, extractor, ways, n)
    reference = measure(live, dataset, extractor, [(REFERENCE[0], 10 if fast else REFERENCE[1])], n)[0]["frechet_distance"]
    within = [row for row in rows if row["calls"] <= 20]
    chosen = min(within, key=lambda row: row["frechet_distance"])
    # The least of many distances is too small by chance: other seeds say what it is.
    best, = measure(live, dataset, extractor, [(chosen["sampler"], chosen["steps"])], n, seed=1)
    tiles = {f"{name}, {calls(name, steps)} calls": live("sample", np.arange(12), sampler=name, steps=steps)
             for name, steps in (("ddim", 5), ("dpm", 5), ("dpm", 10), ("dpm", 20))}
    picture = (folder if fast else records.RESULTS / "pictures") / "diffusion_steps.png"
    draw(picture, rows, reference, tiles)
    values = {"reference": reference, "best of 20 calls": best["frechet_distance"],
              "best over reference": best["frechet_distance"] / reference, "least calls": best["calls"]}
    if not fast:
        test = samples.of_samples(lambda seeds: live("sample", seeds, sampler=best["sampler"], steps=best["steps"]), dataset,
                                  extractor, "test", 10_000)
        values |= {"frechet_distance edm": test["frechet_distance"], "kernel_distance edm": test["kernel_distance"]}
        records.record(
            "diffusion_steps", values, title=f"Samplers of a diffusion model, Fashion-MNIST, {MINUTES:g} CPU minutes",
            command="python apps/diffusion_steps.py", seeds=[0], picture=picture.name, table=rows,
            budget={"cpu_minutes": MINUTES, "threads": 1, "without": "tracing", "samples": n} | cost,
            data={"name": "fashion_mnist", "split": "validation; frechet_distance edm: test"},
            extractor={key: test[key] for key in ("extractor", "checksum", "resize", "accuracy")},
            marks={"frechet_distance edm": BEST, "best over reference": 1.1},
            published="none: distances over a classifier of the data compare only with each other")
    print(f"best of at most 20 calls: {best['sampler']}, {best['calls']} calls, {values['best over reference']:.3f} times "
          f"the distance of {REFERENCE[1]:,} steps\nwrote {picture}")
    return values


if __name__ == "__main__":
    typer.run(main)

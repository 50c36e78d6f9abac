"""Does a diffusion model draw the class that it is asked for? Agreement and Fréchet distance against the guidance's weight.

    python apps/guide_by_labels.py                  # Fashion-MNIST: 30 minutes on one core, then some minutes of sampling
    python apps/guide_by_labels.py --only-train     # the training alone; a later call measures it
    python apps/guide_by_labels.py --fast           # digits, tiny networks, seconds

A classifier of the data judges 1,000 samples, 100 of each class: an agreement has a standard error of 0.006 at 0.96. Every
weight draws the same seeds from the same weights of the network. The default weight was chosen by the agreement and the
distance to validation images that are reported, so that both are a little better than of a weight chosen otherwise.
Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing.
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

MINUTES, STEPS, BATCH_SIZE = 30.0, 7400, 16
# Those of apps/diffusion_steps.py; the weight was chosen on the validation split.
SETTINGS = {"filters": 48, "patch": 2, "residual_blocks": 1, "dropout": 0.0, "data_deviation": 0.8, "level_mean": 0.0,
            "level_deviation": 1.4, "largest_sigma": 160.0, "optimizer": "muon", "learning_rate": 4e-3, "cosine_decay": True,
            "warmup_steps": 200, "ema": 0.999, "guidance": 2.0}
TINY = {"filters": 4, "residual_blocks": 1, "grids": 1}
WEIGHTS, SHOWN = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0), (0.0, 1.0, 1.5, 3.0)


def measure(live, dataset, extractor, weight, n, steps):
    """(share of n samples that are of the class asked for, {class: share}, Fréchet distance on the validation split)."""
    classes = dataset.spec.num_classes
    made = []

    def sample(seeds):
        made.append(live("sample", seeds, label=seeds % classes, guidance=weight, steps=steps))
        return made[-1]

    found = samples.of_samples(sample, dataset, extractor, "validation", n)
    right = extractor.classes(np.concatenate(made)) == np.arange(n) % classes
    return float(right.mean()), [float(right[label::classes].mean()) for label in range(classes)], found["frechet_distance"]


def draw(path, rows, tiles, default):
    """Draws agreement and distance against the weight, and below them samples of each class, the same seeds per row."""
    figure = plots.new_figure(9.0, 7.5)
    upper, lower = figure.subfigures(2, 1, height_ratios=[3.0, 4.5])
    weights = [row["guidance"] for row in rows]
    for axes, key, title in zip(upper.subplots(1, 2), ("class_agreement", "frechet_distance"),
                                ("share of the class asked for", "Fréchet distance, validation images")):
        axes.plot(weights, [row[key] for row in rows], marker="o", markersize=4, linewidth=1.5)
        axes.axvline(default, color="0.6", linestyle="--", linewidth=1.0)
        axes.set_xlabel("weight of guidance (dashed: the default)", fontsize=9)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    for panel, (name, images) in zip(np.atleast_1d(lower.subplots(len(tiles), 1)), tiles.items(), strict=True):
        panel.imshow(pictures.grid(images, len(images) // 2), cmap="gray", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    plots.write_figure(path, figure)


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where the model is kept")] = pathlib.Path("runs/guidance"),
    again: Annotated[bool, typer.Option("--again", help="train a model that was trained before, too")] = False,
    only_train: Annotated[bool, typer.Option("--only-train", help="stop after the training")] = False,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, seconds; no record is written")] = False,
):
    """Trains the conditional model within the budget, then measures it at each weight of guidance."""
    dataset = data.load("digits" if fast else "fashion_mnist")
    values, steps, rows = (TINY, 20, 16) if fast else (SETTINGS, STEPS, BATCH_SIZE)
    model, cost = budget.kept(folder, "conditional_diffusion", recipes.find("conditional_diffusion"), dataset, rows, values,
                              steps, again)
    if only_train:
        return cost
    require(fast or cost["cpu_minutes"] <= MINUTES, f"expected a training of at most {MINUTES:g} CPU minutes, received "
                                                    f"{cost['cpu_minutes']}: lower STEPS and train with --again")
    live, extractor, default = Live(model), features.classifier(dataset), model.guidance
    n, calls, classes = (100, 2, dataset.spec.num_classes) if fast else (1000, 20, dataset.spec.num_classes)
    names = dataset.spec.class_names or range(classes)
    table, values = [], {}
    for weight in (default, 3.0) if fast else sorted({*WEIGHTS, default}):
        agreement, each, distance = measure(live, dataset, extractor, weight, n, calls)
        table.append({"guidance": weight, "class_agreement": agreement, "frechet_distance": distance})
        print(f"guidance {weight:g}: agreement {agreement:.3f}, Fréchet distance {distance:.2f}", flush=True)
        if weight == default:
            values = {"class_agreement": agreement, "frechet_distance": distance} | {
                f"class_agreement {name}": share for name, share in zip(names, each, strict=True)}
    truth = dataset.labels("test")[:n]
    values["classifier_accuracy"] = float(np.mean(extractor.classes(dataset.images("test")[:n].astype("float32") / 255.0)
                                                  == truth))
    seeds = np.arange(2 * classes)
    tiles = {f"guidance {weight:g}": live("sample", seeds, label=seeds % classes, guidance=weight, steps=calls)
             for weight in SHOWN}
    picture = (folder if fast else records.RESULTS / "pictures") / "guide_by_labels.png"
    draw(picture, table, tiles, default)
    if not fast:
        records.record(
            "guide_by_labels", values, title=f"Classifier-free guidance, Fashion-MNIST, {MINUTES:g} CPU minutes",
            command="python apps/guide_by_labels.py", seeds=[0], picture=picture.name, table=table,
            budget={"cpu_minutes": MINUTES, "threads": 1, "without": "tracing", "samples": n, "steps": calls} | cost,
            data={"name": "fashion_mnist", "split": "validation"}, extractor=extractor.describe(),
            marks={"class_agreement": 0.95}, published="none: agreement over a classifier of these data")
    print(f"wrote {picture}")
    return values


if __name__ == "__main__":
    typer.run(main)

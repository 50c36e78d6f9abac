"""A hierarchical VAE beside a plain one under the same budget: bits per dimension, and what each layer of latents holds.

    python apps/hierarchy_of_latents.py           # Fashion-MNIST: 40 minutes on one core
    python apps/hierarchy_of_latents.py --fast    # digits, tiny networks, seconds

Both have the same likelihood, a discretised logistic on 256 grey levels, the same batches and a rate that decays to 0 at the
last step. Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step.
The number of steps is fixed, so that a run can be repeated; it was chosen to end within the budget. Settings, such as the
plain VAE's latent_dim, were chosen on the validation split; figures are of the whole test split.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import math  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, files, pictures, recipes  # noqa: E402
from tfgen.evaluation import likelihood  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.pictures import plots  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

SAMPLES, REDRAWN = 2, 8


@dataclasses.dataclass(frozen=True)
class Training:
    """A recipe with its budget in CPU minutes, within which `steps` (a multiple of 20) end, and its hyperparameters."""

    recipe: str
    minutes: float
    steps: int
    values: dict
    batch_size: int = 64


SHARED = {"likelihood": "discretised_logistic", "cosine_decay": True, "warmup_steps": 200, "kl_warmup_steps": 2000}
TRAININGS = {
    "hierarchical_vae": Training("hierarchical_vae", 20, 20000, SHARED | {"learning_rate": 2e-3}),
    "vae": Training("vae", 20, 76000, SHARED | {"learning_rate": 2e-3, "latent_dim": 32}),
}
TINY = {"hierarchical_vae": {"filters": 4, "widest": 8, "units": 8, "latent_channels": 2},
        "vae": {"filters": 4, "latent_dim": 3}}
MARKS = {"bits per dimension below the plain VAE's": 0.15, "least KL of a layer, nats per image": 1.0}


def measure(name, training, dataset, k, folder):
    """Trains a model; writes NAME.keras and its figures, the course of its losses among them, as NAME.json to `folder`."""
    recipe, history = recipes.find(training.recipe), keras.callbacks.History()
    model, cost = budget.train_for_budget(None, recipe, dataset, training.batch_size, training.values, steps=training.steps,
                                          callbacks=[history])
    model.save(folder / f"{name}.keras")
    row = {**cost, "parameters": model.count_params(),
           "latents": model.latent_shape[0], "budget_minutes": training.minutes, "history": history.history,
           "shapes": getattr(model, "layer_shapes", [model.latent_shape])}
    live = Live(model)
    for split in ("validation", "test"):
        losses = model.evaluate(dataset.batches(split, 100), verbose=0, return_dict=True)
        found = likelihood.of_log_prob(model, live, dataset.batches(split, 100), 100, k, dataset.spec.levels)
        row[split] = {key: float(value) for key, value in losses.items()} | found
    files.write_json(folder / f"{name}.json", row)
    print(f"{name:18} bits/dim: validation {row['validation']['bits_per_dim']:.3f}, test {row['test']['bits_per_dim']:.3f}; "
          f"KL {row['test']['kl']:.1f} nats; {cost['steps']} steps, {cost['cpu_minutes']} CPU minutes of {training.minutes}",
          flush=True)


def redrawn(model):
    """Images (L + 1, SAMPLES * REDRAWN, H, W, C): in row k, each sample REDRAWN times with its upper k layers kept."""
    seeds, others = np.repeat(np.arange(SAMPLES), REDRAWN), 1000 + np.arange(SAMPLES * REDRAWN)
    # The first of each is the sample itself.
    others[::REDRAWN] = np.arange(SAMPLES)
    return np.stack([np.asarray(model.resample(seeds, others, kept)) for kept in range(len(model.layer_shapes) + 1)])


def draw(path, row, images):
    """Draws the KL of each layer during training, and below it the images of `redrawn`."""
    layers = {name: np.asarray(values) for name, values in row["history"].items() if name.startswith("kl_")}
    names = [f"layer {index}: {'x'.join(map(str, shape))}" for index, shape in enumerate(row["shapes"], 1)]
    figure = plots.new_figure(12.0, 4.3 + 0.72 * len(images))
    upper, lower = figure.subfigures(2, 1, height_ratios=[3.5, 0.8 + 0.72 * len(images)])
    axes = upper.add_subplot()
    steps = row["steps"] * (np.arange(len(layers["kl_1"])) + 1.0) / len(layers["kl_1"])
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(layers)))
    for name, (key, values), colour in zip(names, layers.items(), colours, strict=True):
        axes.plot(steps, values, color=colour, linewidth=1.4, marker=".", markersize=2,
                  label=f"{name}, {row['test'][key]:.1f}")
    plots.magnitudes(axes)
    axes.axhline(1.0, color="0.5", linestyle="--", linewidth=1.0)
    axes.set_title("KL term of each layer of latents during training, nats per image", fontsize=11)
    axes.set_xlabel("training step", fontsize=9)
    axes.grid(color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="shape, and KL on the test split", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
                fontsize=9)
    lower.suptitle(f"{SAMPLES} samples, left in each group, and {REDRAWN - 1} draws each of the layers below those kept",
                   fontsize=11)
    for kept, panels in enumerate(lower.subplots(len(images), SAMPLES)):
        for tiles, panel in zip(np.split(images[kept], SAMPLES), panels, strict=True):
            panel.imshow(pictures.grid(tiles, REDRAWN), cmap="gray", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        panels[0].set_ylabel(kept_of(kept, len(images) - 1), rotation=0, ha="right", va="center", fontsize=9)
    plots.write_figure(path, figure)


def kept_of(kept, layers):
    """Which layers are kept, in words."""
    if kept in (0, layers):
        return "none kept" if kept == 0 else "all kept"
    return "layer 1 kept" if kept == 1 else f"layers 1 to {kept} kept"


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where models and figures are kept")] = pathlib.Path("runs/hierarchy"),
    k: Annotated[int, typer.Option(help="importance samples of the bounds")] = 10,
    again: Annotated[bool, typer.Option("--again", help="train models that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, seconds; no record is written")] = False,
):
    """Trains both models within their budgets, compares their bounds, and draws what the layers hold."""
    trainings, dataset = TRAININGS, data.load("digits" if fast else "fashion_mnist")
    if fast:
        trainings = {name: dataclasses.replace(training, steps=20, values=SHARED | TINY[name], batch_size=16)
                     for name, training in TRAININGS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, training in trainings.items():
        if again or not (folder / f"{name}.json").exists():
            measure(name, training, dataset, k, folder)
            keras.backend.clear_session()
    rows = {name: files.read_json(folder / f"{name}.json") for name in trainings}
    ours, plain = rows["hierarchical_vae"]["test"], rows["vae"]["test"]
    values = {f"bits_per_dim {name}": row["test"]["bits_per_dim"] for name, row in rows.items()}
    values["bits_per_dim gain"] = plain["bits_per_dim"] - ours["bits_per_dim"]
    layers = {name: value for name, value in ours.items() if name.startswith("kl_")}
    values |= layers | {"least kl of a layer": min(layers.values())}
    values |= {f"{key} {name}": row["test"][key] for name, row in rows.items() for key in ("reconstruction", "kl", "elbo")}
    assert all(map(math.isfinite, values.values())), f"a training diverged: {values}"
    picture = (folder if fast else records.RESULTS / "pictures") / "hierarchy_of_latents.png"
    draw(picture, rows["hierarchical_vae"], redrawn(keras.models.load_model(folder / "hierarchical_vae.keras")))
    if not fast:
        records.record(
            "hierarchy_of_latents", values, title="Hierarchical and plain VAE under the same budget, test split",
            command="python apps/hierarchy_of_latents.py", seeds=[0], picture=picture.name, marks=MARKS,
            budget={"cpu_minutes": TRAININGS["vae"].minutes, "threads": 1, "without": "tracing", "k": k},
            data={"name": "fashion_mnist", "levels": dataset.spec.levels, "split": "test",
                  "images": dataset.spec.sizes["test"]},
            table=[{"method": name, "validation": row["validation"]["bits_per_dim"], "test": row["test"]["bits_per_dim"]}
                   | {key: row[key] for key in ("settings", "batch_size", "steps", "images", "images_per_cpu_s",
                                                "cpu_minutes", "parameters", "latents")} for name, row in rows.items()],
            published="none for these images, networks and budgets")
    print(f"gain {values['bits_per_dim gain']:.3f} bits/dim; KL of layers " + ", ".join(f"{v:.1f}" for v in layers.values()))
    print(f"wrote {picture}")
    return values


if __name__ == "__main__":
    typer.run(main)

"""Every GAN recipe on Fashion-MNIST within one budget of CPU minutes: one picture and one table.

    python apps/gan_zoo.py --recipes dcgan           # trains one, a few minutes; may be repeated
    python apps/gan_zoo.py                           # trains those that are missing, then draws and records all
    python apps/gan_zoo.py --fast                    # digits, seconds

Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step. Paper
defaults but for SETTINGS, which were chosen on the validation split; figures are on the test split.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, files, pictures, recipes  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# What a small budget needs beside the papers' values: narrower networks, faster rates, faster controls.
QUICK = {"learning_rate": 1e-3}
BOTH_QUICK = {"learning_rate": 5e-4, "critic_learning_rate": 5e-4}
SMALL = {"filters": 32}
STYLES = {"latent_dim": 64, "learning_rate": 2e-3, "critic_learning_rate": 2e-3}
SETTINGS = {
    "gan": QUICK, "aae": {}, "dcgan": SMALL | QUICK, "cgan": SMALL | QUICK, "lsgan": SMALL | QUICK,
    "wgan": SMALL | BOTH_QUICK, "wgan_gp": SMALL | BOTH_QUICK, "lipschitz_gan": SMALL | BOTH_QUICK,
    "sngan": SMALL | BOTH_QUICK, "began": SMALL | BOTH_QUICK | {"gain": 0.02},
    "sagan": {"filters": 8, "learning_rate": 2e-4, "critic_learning_rate": 8e-4},
    "biggan": {"filters": 8, "critic_steps": 1, "learning_rate": 5e-4, "critic_learning_rate": 1e-3},
    "progan": {"filters": 12, "latent_dim": 64, "stage_steps": 150}, "stylegan": STYLES | {"filters": 12},
    "stackgan": {"filters": 16, "latent_dim": 64, "condition_dim": 16, "stage_one_steps": 700} | BOTH_QUICK}
COLUMNS = ("frechet_distance", "precision", "recall", "density", "coverage", "modes", "label_agreement", "images_per_cpu_s")


def zoo():
    """The names of the GAN recipes."""
    return [name for name, recipe in recipes.RECIPES.items() if recipe.family == "gan"]


def agreement(live, extractor, n=1000):
    """Share of n samples, as many of each class, that the classifier takes for the class asked for."""
    about = live.options["sample"].get("label")
    if about is None:
        return None
    labels = np.arange(n) % (about.high + 1)
    images = live("sample", (1 << 32) + np.arange(n), label=labels)
    return float(np.mean(extractor.classes(images) == labels))


def measure(name, dataset, extractor, minutes, batch_size, folder, n):
    """Trains one recipe; writes NAME.json and NAME.npy (its first 16 samples) to `folder`."""
    recipe = recipes.find(name)
    values = SETTINGS.get(name, SMALL) if dataset.spec.image_shape[0] > 8 else {}
    model, cost = budget.train_for_budget(minutes, recipe, dataset, batch_size, values)
    live = Live(model)
    quality = samples.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, "test", n)
    row = {"recipe": name, "settings": values, "batch_size": batch_size, **cost, **quality,
           "label_agreement": agreement(live, extractor), "parameters": model.count_params()}
    with files.written_aside(folder / f"{name}.npy") as aside, open(aside, "wb") as file:
        np.save(file, live("sample", np.arange(16)))
    files.write_json(folder / f"{name}.json", row)
    print(" ".join([f"{name:14}", f"{cost['steps']:6} steps", *(f"{key} {shown(row[key])}" for key in COLUMNS)]), flush=True)
    return row


def shown(value):
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def main(
    only: Annotated[list[str] | None, typer.Option("--recipes", help="recipe to train now; may be repeated")] = None,
    minutes: Annotated[float, typer.Option(help="CPU minutes of training for each recipe")] = 3.0,
    folder: Annotated[pathlib.Path, typer.Option(help="where each recipe's figures are kept")] = pathlib.Path("runs/zoo"),
    again: Annotated[bool, typer.Option("--again", help="train recipes that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits and a second each; no record is written")] = False,
):
    """Trains GAN recipes within one budget each; with all of them there, draws and records the zoo."""
    source, minutes, n, batch_size = ("digits", 0.01, 200, 32) if fast else ("fashion_mnist", minutes, 10_000, 64)
    dataset = data.load(source)
    extractor = features.classifier(dataset)
    names = only or zoo()
    for name in names:
        recipes.find(name)
        if again or not (folder / f"{name}.json").exists():
            measure(name, dataset, extractor, minutes, batch_size, folder, n)
            keras.backend.clear_session()
    rows = {name: files.read_json(folder / f"{name}.json") for name in zoo() if (folder / f"{name}.json").exists()}
    if only and len(rows) < len(zoo()):
        return rows
    if len({(row["checksum"], row["n_fake"]) for row in rows.values()}) > 1:
        raise ValueError(f"figures in {folder} come from different classifiers or numbers of samples; train with --again")
    real = dataset.images("test")[:16].astype("float32") / 255.0
    picture = (folder if fast else pathlib.Path("results/pictures")) / "gan_zoo.png"
    ranked = sorted(rows, key=lambda name: rows[name]["frechet_distance"])
    pictures.save_rows(picture, {f"{name}  {rows[name]['frechet_distance']:.0f}": np.load(folder / f"{name}.npy")
                                 for name in ranked} | {"test images": real})
    if not fast:
        first = rows[ranked[0]]
        records.record(
            "gan_zoo", {f"frechet_distance {name}": rows[name]["frechet_distance"] for name in ranked},
            title=f"GAN recipes on {source}, {minutes:g} CPU minutes each: Fréchet classifier distance, test split",
            command="python apps/gan_zoo.py", budget={"cpu_minutes_each": minutes, "threads": 1}, seeds=[0],
            data={"name": source, "split": "test"}, extractor={key: first[key] for key in ("extractor", "checksum", "resize",
                                                                                           "accuracy")},
            table=[rows[name] for name in ranked], picture=picture.name,
            published="none: distances over a classifier of the data compare only with each other")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

"""A GAN of 500 images, with and without augmentation of what its critic sees: samples, and distances step by step.

    python apps/few_images.py --arm none             # trains one arm, a few minutes; may be repeated
    python apps/few_images.py                        # trains the arms that are missing, then draws and records all
    python apps/few_images.py --recipe gan           # of another recipe
    python apps/few_images.py --fast                 # digits, seconds

The critic of `gan`, fully connected, would soon know 500 images by heart without its dropout; that of `dcgan`, convolutional
with batch normalisation, does not within these minutes.

The arms differ in nothing but the augmentation. Every arm trains for the same CPU time (of this process in training, one
thread for TensorFlow's operations, without tracing the step) and keeps its generator every 500 steps. The one whose samples
are nearest to the validation images is the arm's; it alone is compared with the test images. The feature extractor is a
classifier of all training images.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, files, pictures, recipes  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# The hyperparameter `augmentation` of each arm; its name in pictures and its colour.
ARMS = {"none": ("without", "#d95f02"), "diffaugment": ("DiffAugment", "#1f77b4"), "ada": ("ADA", "#2ca02c")}
# {recipe: settings}, as in gan_zoo.py.
RECIPES = {"dcgan": {"filters": 32, "learning_rate": 1e-3}, "gan": {}}
TINY = {"dcgan": {"filters": 4}, "gan": {"units": 8}}
IMAGES, EPOCH = 500, 20  # training images; steps of an epoch of `train_for_budget`


def few(dataset, count, seed):
    """The data set with `count` of its training images, drawn by a seed."""
    rows = np.sort(np.random.default_rng(seed).permutation(dataset.spec.sizes["train"])[:count])
    arrays = {split: (dataset.images(split), dataset.labels(split)) for split in dataset.splits}
    labels = dataset.labels("train")
    arrays["train"] = dataset.images("train")[rows], None if labels is None else labels[rows]
    return data.Dataset(dataclasses.replace(dataset.spec, sizes=dataset.spec.sizes | {"train": len(rows)}), arrays)


class Snapshots(keras.callbacks.Callback):
    """Keeps the weights of the network that samples: `kept`, {step: weights}, every `every` steps."""

    def __init__(self, every):
        super().__init__()
        self.every, self.kept = every, {}

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations)
        if step % self.every == 0:
            self.kept[step] = self.model.sampler.get_weights()
        self.p = (logs or {}).get("augmentation_p")


def measure(recipe, arm, dataset, whole, extractor, minutes, every, n, folder):
    """Trains one arm; writes ARM.json and ARM.npy (its first 16 samples) to `folder`."""
    snapshots = Snapshots(every)
    values = (RECIPES if whole.spec.image_shape[0] > 8 else TINY)[recipe] | {"augmentation": arm}
    model, cost = budget.train_for_budget(minutes, recipes.find(recipe), dataset, 64, values, callbacks=[snapshots])
    live = Live(model)

    def quality(step, split, n):
        model.sampler.set_weights(snapshots.kept[step])
        return samples.of_samples(lambda seeds: live("sample", seeds), whole, extractor, split, n)

    course = {}
    for step in snapshots.kept:
        course[step] = quality(step, "validation", n // 5)["frechet_distance"]
        print(f"{arm:12} {step:6} steps: {course[step]:.1f} on validation images", flush=True)
    best = min(course, key=course.get)
    row = {"recipe": recipe, "arm": arm, "asked_minutes": minutes, **cost, "best_step": best,
           "final_p": snapshots.p, "validation_by_step": course, "last_validation": course[max(course)],
           **quality(best, "test", n)}
    with files.written_aside(folder / f"{arm}.npy") as aside, open(aside, "wb") as file:
        np.save(file, live("sample", np.arange(16)))
    files.write_json(folder / f"{arm}.json", row)
    print(f"{arm:12} {cost['steps']} steps, best {best}: {row['frechet_distance']:.1f} on test images, precision "
          f"{row['precision']:.2f}, recall {row['recall']:.2f}", flush=True)


def measured(folder, minutes):
    """{arm: its figures} of the arms that were trained for so many minutes."""
    paths = {name: folder / f"{name}.json" for name in ARMS}
    rows = {name: files.read_json(path) for name, path in paths.items() if path.exists()}
    return {name: row for name, row in rows.items() if row.get("asked_minutes") == minutes}


def draw(path, rows, images):
    """Writes the distances step by step, above samples of each arm: images is {name: float (16, H, W, C)}."""
    figure = pictures.plots.new_figure(8, 4 + 0.55 * len(images))
    axes = figure.subplots(1 + len(images), height_ratios=[6] + [1] * len(images))
    for arm, row in rows.items():
        name, colour = ARMS[arm]
        steps = sorted(map(int, row["validation_by_step"]))
        axes[0].plot(steps, [row["validation_by_step"][str(step)] for step in steps], ".-", color=colour, label=name)
    axes[0].set(xlabel="training steps", ylabel="Fréchet distance to validation images", yscale="log",
                title=f"{rows['none']['recipe']} on few images, {max(row['cpu_minutes'] for row in rows.values()):.0f} CPU "
                      "minutes each")
    axes[0].grid(alpha=0.3, which="both")
    axes[0].legend()
    for axis, (name, those) in zip(axes[1:], images.items()):
        axis.imshow(pictures.grid(those, columns=len(those)))
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    pictures.plots.write_figure(path, figure)


def main(
    arm: Annotated[str | None, typer.Option(help=f"train only this one now: {', '.join(ARMS)}")] = None,
    minutes: Annotated[float, typer.Option(help="CPU minutes of training for each arm")] = 6.0,
    folder: Annotated[pathlib.Path | None, typer.Option(
        help="where arms' figures are kept; default runs/few_images_RECIPE")] = None,
    recipe: Annotated[str, typer.Option(help=", ".join(RECIPES))] = "dcgan",
    again: Annotated[bool, typer.Option("--again", help="train arms that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits and a second each; no record is written")] = False,
):
    """Trains a GAN on 500 images of Fashion-MNIST within one budget per arm; with all of them there, draws and records."""
    require(arm in (None, *ARMS), f"--arm expects one of {', '.join(ARMS)}, received {arm}")
    require(recipe in RECIPES, f"--recipe expects one of {', '.join(RECIPES)}, received {recipe}")
    name_of = "few_images" if recipe == "dcgan" else f"few_images_{recipe}"
    folder = folder or pathlib.Path("runs") / f"few_images_{recipe}"
    source, count, minutes, every, n = ("digits", 64, 0.005, EPOCH, 100) if fast else (
        "fashion_mnist", IMAGES, minutes, 500, 10_000)
    whole = data.load(source)
    extractor, dataset = features.classifier(whole), few(whole, count, seed=0)
    for name in [arm] if arm else ARMS:
        if again or name not in measured(folder, minutes):
            measure(recipe, name, dataset, whole, extractor, minutes, every, n, folder)
            keras.backend.clear_session()
    rows = measured(folder, minutes)
    if len(rows) < len(ARMS):
        return rows
    picture = (folder if fast else pathlib.Path("results/pictures")) / f"{name_of}.png"
    shown = {"training images": dataset.images("train")[:16] / np.float32(255)}
    shown |= {f"{ARMS[name][0]}: {row['frechet_distance']:.0f}": np.load(folder / f"{name}.npy")
              for name, row in rows.items()}
    draw(picture, rows, shown)
    if not fast:
        values = {f"{key} {name}": row[key] for key in ("frechet_distance", "precision", "recall", "coverage", "best_step")
                  for name, row in rows.items()}
        values |= {f"share of the distance {name}": row["frechet_distance"] / rows["none"]["frechet_distance"]
                   for name, row in rows.items() if name != "none"}
        records.record(
            name_of, values, title=f"{recipe} on {count} images of {source}, {minutes:g} CPU minutes each: Fréchet "
            "classifier distance of the snapshot that is best on validation images, test split",
            command="python apps/few_images.py" + f" --recipe {recipe}" * (recipe != "dcgan"),
            budget={"cpu_minutes_each": minutes, "threads": 1, "training images": count}, seeds=[0],
            data={"name": source, "split": "test", "chosen_on": "validation"},
            extractor={key: rows["none"][key] for key in ("extractor", "checksum", "resize", "accuracy")},
            table=list(rows.values()), picture=picture.name,
            published="none: distances over a classifier of the data compare only with each other")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

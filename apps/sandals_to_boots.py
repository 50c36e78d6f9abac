"""Sandals to ankle boots and back, without pairs: CycleGAN on two classes of Fashion-MNIST.

    python apps/sandals_to_boots.py                                     # about 10 CPU minutes
    python apps/sandals_to_boots.py --split validation --out runs/s2b   # how the settings were chosen
    python apps/sandals_to_boots.py --fast                              # digits 0 and 1, seconds

Budget: a number of steps, because both learning rates fall to zero with it; the CPU time that they took is recorded. One
thread for TensorFlow's operations, tracing not counted. The judge is a classifier of all ten classes that was trained on
real images: a translation is accepted if it takes it for the class asked for.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, metrics, pictures, recipes  # noqa: E402
from tfgen.evaluation import features  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# Chosen on the validation split: shoes of Fashion-MNIST all point to the left.
SETTINGS = {"filters": 24, "critic_layers": 2, "flip": False, "learning_rate": 4e-4,
            "critic_learning_rate": 4e-4}


def batched(images, size=100):
    return np.split(images, range(size, len(images), size))


def accepted(images, label, judge):
    """Share of images that the judge takes for a class."""
    return float(np.mean(np.concatenate([judge(part)[1].argmax(1) for part in batched(images)]) == label))


def measure(made, back, images, others, label, judge):
    """Figures of one direction: how many are accepted, how far the way there and back leads, how near the domain is.

    Args:
        made, back: translations of `images`, and these translated back.
        others, label: real images of the other domain, and its class.
    """
    quality = metrics.compare(batched(others), batched(made), judge)
    return {"accepted": accepted(made, label, judge), "cycle_l1": float(np.mean(np.abs(back - images))),
            "changed_l1": float(np.mean(np.abs(made - images))), "frechet_distance": quality["frechet_distance"]}


def main(
    steps: Annotated[int, typer.Option(help="updates of each network, a multiple of 20")] = 2500,
    split: Annotated[str, typer.Option(help="what is measured; only test is recorded")] = "test",
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="digits and a few steps; no record is written")] = False,
):
    """Trains, measures both directions beside doing nothing, and draws; returns {method: its figures}."""
    source, classes, names = ("digits", (0, 1), ("zero", "one")) if fast else (
        "fashion_mnist", (5, 9), ("sandal", "ankle boot"))
    settings, batch_size = ({"filters": 4, "blocks": 1, "flip": False}, 4) if fast else (SETTINGS, 8)
    steps = 20 if fast else steps
    out = out or (pathlib.Path("runs/sandals_to_boots") if fast else records.RESULTS)
    judge = features.classifier(data.load(source))
    dataset = data.load(source, domains=classes)
    a, b = (x.astype("float32") / 255.0 for x in (dataset.sources(split), dataset.images(split)))
    model, cost = budget.train_for_budget(None, recipes.find("cyclegan"), dataset, batch_size, settings, steps=steps)
    live = Live(model)
    made_b, made_a = live("translate", a), live("translate_back", b)
    back_a, back_b = live("translate_back", made_b), live("translate", made_a)
    there, again = f"{names[0]} to {names[1]}", f"{names[1]} to {names[0]}"
    rows = {f"{there}, untouched": measure(a, a, a, b, classes[1], judge),
            f"{there}, CycleGAN": measure(made_b, back_a, a, b, classes[1], judge),
            f"{again}, untouched": measure(b, b, b, a, classes[0], judge),
            f"{again}, CycleGAN": measure(made_a, back_b, b, a, classes[0], judge)}
    for name, row in rows.items():
        print(f"{name:34}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    picture, chosen = out / "pictures" / "sandals_to_boots.png", slice(0, 14)
    pictures.save_rows(picture, {
        names[0]: a[chosen], f"made {names[1]}": made_b[chosen], "and back": back_a[chosen],
        names[1]: b[chosen], f"made {names[0]}": made_a[chosen], "and forth": back_b[chosen]})
    if out == records.RESULTS and split == "test" and not fast:
        records.record(
            "sandals_to_boots",
            {f"{key} {name}": row[key] for name, row in rows.items() for key in ("accepted", "cycle_l1")},
            title="Sandals to ankle boots without pairs: share accepted by a classifier, L1 there and back in [0, 1]",
            command="python apps/sandals_to_boots.py", seeds=[0], budget={"threads": 1, **cost},
            data={"name": source, "split": split, "images": [len(a), len(b)], "domains": names},
            extractor=judge.describe(), table=[{"method": name, **row} for name, row in rows.items()],
            marks={"accepted sandal to ankle boot": 0.85, "cycle_l1": 0.08}, picture=picture.name,
            published="none for these domains and this budget; leaving images untouched is the baseline")
    print(f"wrote {picture}; {cost['steps']} steps in {cost['cpu_minutes']} CPU minutes")
    return rows


if __name__ == "__main__":
    typer.run(main)

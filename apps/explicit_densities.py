"""Autoregressive models and flows on three discretisations of images: bits per dimension or nats, and samples.

    python apps/explicit_densities.py digits_16           # digits, 16 levels: minutes
    python apps/explicit_densities.py fashion_8bit        # Fashion-MNIST, 256 levels: 45 minutes on one core
    python apps/explicit_densities.py fashion_8bit_hour   # the same, Glow alone: an hour and a quarter
    python apps/explicit_densities.py fashion_binarised   # Fashion-MNIST, dynamically binarised: half an hour
    python apps/explicit_densities.py digits_16 --fast    # tiny networks, seconds

A work trains the models that its folder lacks, then draws and records all. Budget: CPU time of this process in training, one
thread for TensorFlow's operations, without tracing the step. The number of steps is fixed, so that a learning rate can decay
to 0 at the last one and a run can be repeated; it was chosen to end within the budget. Settings were chosen on the
validation split; figures are on the whole test split, with one draw of binary images and of the dequantisation noise.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import math  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402
from sklearn.mixture import GaussianMixture  # noqa: E402

from tfgen import data, files, pictures, recipes  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import likelihood  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Training:
    """One model of a work.

    Attributes:
        recipe: name of its recipe.
        minutes: budget in CPU minutes, within which `steps` end.
        steps: training steps, a multiple of 20.
        batch_size: images per step.
        values: {hyperparameter: value}.
        k: importance samples of the bound, for models that have only a bound.
    """

    recipe: str
    minutes: float
    steps: int
    batch_size: int
    values: dict
    k: int = 1


@dataclasses.dataclass(frozen=True)
class Work:
    """Models of the same discrete images.

    Attributes:
        title: what the images are.
        source: name of the data set.
        discretisation: arguments of `data.load`.
        unit: what is recorded, `bits_per_dim` or `nats` per image, of the negative log-likelihood.
        trainings: {name: Training}.
        baselines: names of functions in BASELINES.
        marks: {name: the value to reach, at most}.
    """

    title: str
    source: str
    discretisation: dict
    unit: str
    trainings: dict
    baselines: tuple
    marks: dict


DECAY = {"cosine_decay": True}
GLOW = DECAY | {"levels": 2, "flow_steps": 10, "filters": 96, "warmup_steps": 1000}
WORKS = {
    "digits_16": Work("digits, 16 grey levels", "digits", {"levels": 16}, "bits_per_dim", {
        "gated_pixelcnn": Training("gated_pixelcnn", 2, 2200, 64, DECAY | {
            "filters": 48, "blocks": 5, "kernel_size": 3, "dropout": 0.5, "learning_rate": 2e-3}),
        "glow": Training("glow", 2, 2400, 64, DECAY | {
            "levels": 3, "flow_steps": 12, "filters": 8, "dequantisation": "variational", "dequantisation_filters": 8}),
    }, ("per-pixel categorical", "full-covariance Gaussian"), {"gated_pixelcnn": 1.75, "glow": 2.38}),
    "fashion_8bit": Work("Fashion-MNIST, 256 grey levels", "fashion_mnist", {}, "bits_per_dim", {
        "pixelcnnpp": Training("pixelcnnpp", 10, 3400, 8, DECAY | {
            "filters": 32, "blocks": 2, "levels": 2, "dropout": 0.0, "learning_rate": 3e-3}),
        "realnvp": Training("realnvp", 10, 5400, 32, DECAY | {
            "filters": 16, "residual_blocks": 1, "couplings": 2, "learning_rate": 2e-3}),
        "glow": Training("glow", 10, 4600, 32, GLOW),
    }, ("per-pixel categorical", "full-covariance Gaussian"), {"pixelcnnpp": 3.1, "realnvp": 3.9, "glow": 3.9}),
    "fashion_8bit_hour": Work("Fashion-MNIST, 256 grey levels, one hour", "fashion_mnist", {}, "bits_per_dim", {
        "glow": Training("glow", 60, 27600, 32, GLOW),
    }, ("per-pixel categorical", "full-covariance Gaussian"), {}),
    "fashion_binarised": Work("Fashion-MNIST, dynamically binarised", "fashion_mnist", {"binarise": "dynamic"}, "nats", {
        "fvbn": Training("fvbn", 5, 15000, 512, DECAY | {"learning_rate": 3e-3}),
        "made": Training("made", 5, 34000, 100, DECAY),
        "pixelcnn": Training("pixelcnn", 5, 3800, 16, DECAY | {"learning_rate": 3e-3}),
        "vae": Training("iwae", 5, 42000, 128, {"importance_samples": 1}, 500),
        "iwae": Training("iwae", 5, 22000, 128, {"importance_samples": 5}, 500),
    }, ("per-pixel categorical",), {}),
}
TINY = {"gated_pixelcnn": {"filters": 4, "blocks": 2, "head_filters": 4}, "fvbn": {}, "made": {"units": 8},
        "glow": {"levels": 2, "flow_steps": 1, "filters": 4},
        "pixelcnn": {"filters": 4, "blocks": 1, "head_filters": 4}, "iwae": {"units": 8, "latent_dim": 2},
        "pixelcnnpp": {"filters": 4, "blocks": 1, "levels": 2, "components": 2},
        "realnvp": {"filters": 2, "residual_blocks": 1, "couplings": 1}}


def levels_of(dataset, split):
    """Level of each value of a split: int (N, D)."""
    images = np.concatenate([batch.numpy() for batch in dataset.batches(split, 1000)])
    return np.rint(images.reshape(len(images), -1) * (dataset.spec.levels - 1)).astype(int)


def per_pixel_categorical(train, test, levels):
    """log P of independent pixels, each with the smoothed (one count added) frequencies of its levels: nats, (N,)."""
    counts = np.stack([np.bincount(column, minlength=levels) for column in train.T]) + 1.0  # (D, levels)
    log_frequencies = np.log(counts / counts.sum(1, keepdims=True))
    return log_frequencies[np.arange(test.shape[1]), test].sum(1)


def full_covariance_gaussian(train, test, levels):
    """A lower bound on log P under one Gaussian, by uniform dequantisation: nats, (N,)."""
    generator = np.random.default_rng(0)

    def dequantised(values):
        return (values + generator.random(values.shape)) / levels

    model = GaussianMixture(1, random_state=0).fit(dequantised(train))
    return model.score_samples(dequantised(test)) - test.shape[1] * math.log(levels)


BASELINES = {"per-pixel categorical": per_pixel_categorical, "full-covariance Gaussian": full_covariance_gaussian}


def shown(unit, log_prob, dimensions):
    """-log_prob in the unit: nats per image, or bits per dimension."""
    return -log_prob / (1.0 if unit == "nats" else dimensions * math.log(2.0))


def measure(name, work, training, dataset, folder):
    """Trains a model; writes NAME.keras, then its figures NAME.json and 16 samples NAME.npy to `folder`."""
    recipe, dimensions = recipes.find(training.recipe), math.prod(dataset.spec.image_shape)
    model, cost = budget.train_for_budget(None, recipe, dataset, training.batch_size, training.values, steps=training.steps)
    model.save(folder / f"{name}.keras")
    live, row = Live(model), {"recipe": training.recipe, **cost}
    view = recipe.views(dataset, model)[1]
    for split in ("validation", "test"):
        found = likelihood.of_log_prob(model, live, dataset.batches(split, 100, view), 100, training.k, dataset.spec.levels)
        row |= {split: shown(work.unit, found["log_prob"], dimensions)}
    row |= {"k": found.get("k"), "parameters": model.count_params(), "budget_minutes": training.minutes}
    with files.written_aside(folder / f"{name}.npy") as aside, open(aside, "wb") as file:
        np.save(file, live("sample", np.arange(16)))
    files.write_json(folder / f"{name}.json", row)
    print(f"{name:20} {work.unit}: validation {row['validation']:.3f}, test {row['test']:.3f}; {cost['steps']} steps of "
          f"{training.batch_size}, {cost['cpu_minutes']} CPU minutes of {training.minutes}", flush=True)
    keras.backend.clear_session()


def main(
    name: Annotated[str, typer.Argument(metavar="WORK", help=", ".join(WORKS))],
    only: Annotated[list[str] | None, typer.Option("--model", help="model to train now; may be repeated")] = None,
    folder: Annotated[pathlib.Path, typer.Option(help="where models and figures are kept")] = pathlib.Path("runs/densities"),
    again: Annotated[bool, typer.Option("--again", help="train models that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, a second each; no record is written")] = False,
):
    """Trains the models of a work within their budgets; with all of them there, draws and records the work."""
    require(name in WORKS, f"expected one of {', '.join(WORKS)}, received {name!r}")
    work = WORKS[name]
    require(set(only or ()) <= set(work.trainings), f"--model expects one of {', '.join(work.trainings)}, received {only}")
    if fast:
        tiny = {key: Training(made.recipe, 0.1, 20, 16, TINY[made.recipe], min(made.k, 2))
                for key, made in work.trainings.items()}
        work = dataclasses.replace(work, source="digits", trainings=tiny)
    dataset, folder = data.load(work.source, **work.discretisation), folder / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, training in work.trainings.items():
        if (not only or key in only) and (again or not (folder / f"{key}.json").exists()):
            measure(key, work, training, dataset, folder)
    rows = {key: files.read_json(folder / f"{key}.json") for key in work.trainings if (folder / f"{key}.json").exists()}
    if len(rows) < len(work.trainings):
        return rows
    train, test = levels_of(dataset, "train"), levels_of(dataset, "test")
    for baseline in work.baselines:
        log_prob = float(BASELINES[baseline](train, test, dataset.spec.levels).mean())
        rows[baseline] = {"test": shown(work.unit, log_prob, test.shape[1])}
        print(f"{baseline:26} {work.unit}: test {rows[baseline]['test']:.3f}")
    values = {f"{work.unit} {key}": row["test"] for key, row in rows.items()}
    assert all(map(math.isfinite, values.values())), f"a training diverged: {values}"
    picture = (folder if fast else records.RESULTS / "pictures") / f"explicit_densities_{name}.png"
    ranked = sorted(work.trainings, key=lambda key: rows[key]["test"])
    # A VAE decodes means.
    labels = {key: f"{key}{', means' * (work.trainings[key].recipe == 'iwae')}  {rows[key]['test']:.4g}" for key in ranked}
    pictures.save_rows(picture, {labels[key]: np.load(folder / f"{key}.npy") for key in ranked}
                       | {"test images": test[:16].reshape(-1, *dataset.spec.image_shape) / (dataset.spec.levels - 1.0)})
    if not fast:
        records.record(
            f"explicit_densities_{name}", values, title=f"Negative log-likelihood, {work.title}, test split",
            command=f"python apps/explicit_densities.py {name}", seeds=[0], picture=picture.name, marks=work.marks,
            budget={"threads": 1, "without": "tracing"},
            data={"name": work.source, **work.discretisation, "levels": dataset.spec.levels,
                  "dequantisation": "uniform unless a flow's settings say otherwise, one draw per image",
                  "split": "test", "images": len(test)},
            table=[{"method": key} | row for key, row in rows.items()],
            published="none for these images, networks and budgets")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

"""VQ-VAE and VQGAN compared with a VAE and a DCGAN on Fashion-MNIST within one budget: samples, reconstructions, codes.

    python apps/images_from_codes.py --model vqvae    # trains one, 20 minutes on one core; may be repeated
    python apps/images_from_codes.py                  # trains those that are missing, then draws and records all
    python apps/images_from_codes.py --fast           # digits, seconds

Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step. The number of
steps is fixed, because the two stages of a model of codes and its learning rates follow from it; it was chosen to end within
the budget. Settings were chosen on the validation split; figures are on the test split. `dcgan` has the settings of
`apps/gan_zoo.py`, whose budget is 3 minutes.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, files, metrics, pictures, recipes  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.layers import perplexity  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

MINUTES = 20.0


@dataclasses.dataclass(frozen=True)
class Training:
    """One model: steps of `batch_size` images that end within the budget, and {hyperparameter: value}."""

    steps: int
    batch_size: int
    values: dict


AUTOENCODER = {"codebook_size": 256, "code_dim": 16, "filters": 64, "residual_filters": 32, "cosine_decay": True}
TRAININGS = {
    "vae": Training(40000, 128, {}),
    "dcgan": Training(36000, 64, {"filters": 32, "learning_rate": 1e-3}),
    "vqvae": Training(18000, 64, AUTOENCODER | {
        "autoencoder_share": 8000 / 18000, "learning_rate": 2e-3, "prior_learning_rate": 5e-3, "prior_warmup_steps": 200}),
    "vqgan": Training(14000, 64, AUTOENCODER | {
        "codebook": "ema", "perceptual_share": 400 / 14000, "autoencoder_share": 5500 / 14000, "learning_rate": 1e-3,
        "critic_learning_rate": 1e-3, "critic_filters": 16, "prior_learning_rate": 4e-3, "prior_warmup_steps": 200,
        "prior_heads": 2, "prior_blocks": 4, "prior_dropout": 0.0}),
}
TINY = {"vqvae": {"codebook_size": 8, "code_dim": 4, "filters": 4, "residual_filters": 2, "prior_filters": 4,
                  "prior_blocks": 1}}


def of_reconstructions(live, images, extractor, codes):
    """Squared error per value and Fréchet distance of reconstructions, and the perplexity of all codes of the split."""
    made = live("reconstruct", images)
    values = {"squared_error": float(np.mean(np.square(images - made)))}
    parts = [np.array_split(x, -(-len(x) // 100)) for x in (images, made)]
    values["reconstruction_distance"] = metrics.compare(*parts, extractor)["frechet_distance"]
    if codes:
        found = live("encode", images)
        values["perplexity"] = float(perplexity(found, int(found.max()) + 1))
    return values


def measure(name, training, dataset, extractor, folder, n):
    """Trains a model; writes NAME.keras, its figures NAME.json and 16 samples and reconstructions NAME.npz to `folder`."""
    values = training.values | ({"total_steps": training.steps} if name.startswith("vq") else {})
    model, cost = budget.train_for_budget(None, recipes.find(name), dataset, training.batch_size, values,
                                          steps=training.steps)
    model.save(folder / f"{name}.keras")
    live, row = Live(model), {"recipe": name, "settings": values, "batch_size": training.batch_size, **cost}
    pictured = {"samples": live("sample", np.arange(16))}
    for split in ("validation", "test"):
        found = samples.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, split, n)
        if "reconstruct" in live.names:
            images = dataset.images(split)[:n].astype("float32") / 255.0
            found |= of_reconstructions(live, images, extractor, live.latent_dtype == "int64")
            pictured |= {"images": images[:16], "reconstructions": live("reconstruct", images[:16])}
        row |= found if split == "test" else {
            f"validation_{key}": found[key] for key in ("frechet_distance", "squared_error") if key in found}
    row["parameters"] = model.count_params()
    with files.written_aside(folder / f"{name}.npz") as aside, open(aside, "wb") as file:
        np.savez(file, **pictured)
    files.write_json(folder / f"{name}.json", row)
    shown = ", ".join(f"{key} {row[key]:.4g}" for key in ("frechet_distance", "reconstruction_distance", "squared_error",
                                                        "perplexity", "cpu_minutes") if key in row)
    print(f"{name:6} {shown}", flush=True)
    keras.backend.clear_session()


def main(
    only: Annotated[list[str] | None, typer.Option("--model", help="model to train now; may be repeated")] = None,
    folder: Annotated[pathlib.Path, typer.Option(help="where models and figures are kept")] = pathlib.Path("runs/codes"),
    again: Annotated[bool, typer.Option("--again", help="train models that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits, a tiny VQ-VAE, a second; no record is written")] = False,
):
    """Trains the models within one budget each; with all of them there, draws and records them."""
    require(set(only or ()) <= set(TRAININGS), f"--model expects one of {', '.join(TRAININGS)}, received {only}")
    dataset, n = data.load("digits" if fast else "fashion_mnist"), 100 if fast else 10_000
    extractor = features.classifier(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: Training(20, 16, TINY[name]) for name in TINY} if fast else TRAININGS
    for name, training in wanted.items():
        if (not only or name in only) and (again or not (folder / f"{name}.json").exists()):
            measure(name, training, dataset, extractor, folder, n)
    rows = {name: files.read_json(folder / f"{name}.json") for name in wanted if (folder / f"{name}.json").exists()}
    if len(rows) < len(wanted):
        return rows
    require(len({(row["checksum"], row["n_fake"]) for row in rows.values()}) == 1,
            f"figures in {folder} come from different classifiers or numbers of samples: train with --again")
    spent = {name: row["cpu_minutes"] for name, row in rows.items()}
    require(max(spent.values()) <= MINUTES, f"expected at most {MINUTES:g} CPU minutes each, received {spent}: lower the "
                                            "steps and train with --again")
    picture = (folder if fast else records.RESULTS / "pictures") / "images_from_codes.png"
    drawn = {name: np.load(folder / f"{name}.npz") for name in rows}
    ranked = sorted(rows, key=lambda name: rows[name]["frechet_distance"])
    shown = {f"{name}, samples  {rows[name]['frechet_distance']:.3g}": drawn[name]["samples"] for name in ranked}
    shown |= {f"{name}, reconstructed  {rows[name]['squared_error']:.4f}": drawn[name]["reconstructions"]
              for name in ranked if "reconstructions" in drawn[name]}
    pictures.save_rows(picture, shown | {"test images": drawn["vqvae"]["images"]})
    if not fast:
        first = rows[ranked[0]]
        values = {f"frechet_distance {name}": rows[name]["frechet_distance"] for name in ranked}
        records.record(
            "images_from_codes", values, title=f"Images from codes, Fashion-MNIST, {MINUTES:g} CPU minutes each, test split",
            command="python apps/images_from_codes.py", budget={"cpu_minutes_each": MINUTES, "threads": 1}, seeds=[0],
            data={"name": "fashion_mnist", "split": "test"}, picture=picture.name, table=[rows[name] for name in ranked],
            extractor={key: first[key] for key in ("extractor", "checksum", "resize", "accuracy")},
            marks={"vqvae squared error": 0.010, "vqvae perplexity": 128},
            published="none: distances over a classifier of the data compare only with each other")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

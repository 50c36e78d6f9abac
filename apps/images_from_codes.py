"""VQ-VAE and VQGAN compared with a VAE and a DCGAN on Fashion-MNIST within one budget: samples, reconstructions, codes.

    python apps/images_from_codes.py --model vqvae    # trains one, 20 minutes on one core; may be repeated
    python apps/images_from_codes.py                  # trains those that are missing, then draws and records all
    python apps/images_from_codes.py --fast           # digits, seconds

Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step. The number of
steps is fixed, because the two stages of a model of codes and its learning rates follow from it; it was chosen to end within
the budget. Settings were chosen on the validation split; the models are measured on the test split, and recorded, once all
are there. `dcgan` has the settings of `apps/gan_zoo.py`.
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
    "dcgan": Training(48000, 64, {"filters": 32, "learning_rate": 1e-3}),
    "vqvae": Training(20500, 64, AUTOENCODER | {
        "autoencoder_share": 8000 / 20500, "learning_rate": 2e-3, "prior_learning_rate": 5e-3, "prior_warmup_steps": 200}),
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


def measured(name, live, dataset, extractor, split, n):
    """Figures of a model on a split: those of n samples, and of reconstructions."""
    found = samples.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, split, n)
    if "reconstruct" in live.names:
        images = dataset.images(split)[:n].astype("float32") / 255.0
        found |= of_reconstructions(live, images, extractor, live.latent_dtype == "int64")
    shown = ", ".join(f"{key} {found[key]:.4g}" for key in ("frechet_distance", "reconstruction_distance", "squared_error",
                                                          "perplexity") if key in found)
    print(f"{name:6} {split}: {shown}", flush=True)
    return found


def train(name, training, dataset, extractor, folder, n):
    """Trains a model; writes NAME.keras and NAME.json, with its figures on the validation split, to `folder`."""
    model, cost = budget.train_for_budget(None, recipes.find(name), dataset, training.batch_size, training.values,
                                          steps=training.steps)
    model.save(folder / f"{name}.keras")
    found = measured(name, Live(model), dataset, extractor, "validation", n)
    validation = {f"validation_{key}": found[key] for key in ("frechet_distance", "squared_error") if key in found}
    files.write_json(folder / f"{name}.json", {"recipe": name, **cost,
                                               "parameters": model.count_params(), **validation})
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
            train(name, training, dataset, extractor, folder, n)
    rows = {name: files.read_json(folder / f"{name}.json") for name in wanted if (folder / f"{name}.json").exists()}
    if len(rows) < len(wanted):
        return rows
    spent = {name: row["cpu_minutes"] for name, row in rows.items()}
    require(max(spent.values()) <= MINUTES, f"expected at most {MINUTES:g} CPU minutes each, received {spent}: lower the "
                                            "steps and train with --again")
    drawn, images = {}, dataset.images("test")[:16].astype("float32") / 255.0
    for name in rows:
        live = Live(keras.models.load_model(folder / f"{name}.keras"))
        rows[name] |= measured(name, live, dataset, extractor, "test", n)
        drawn[name] = {"samples": live("sample", np.arange(16))}
        drawn[name] |= {"reconstructions": live("reconstruct", images)} if "reconstruct" in live.names else {}
    picture = (folder if fast else records.RESULTS / "pictures") / "images_from_codes.png"
    ranked = sorted(rows, key=lambda name: rows[name]["frechet_distance"])
    shown = {f"{name}, samples  {rows[name]['frechet_distance']:.3g}": drawn[name]["samples"] for name in ranked}
    shown |= {f"{name}, reconstructed  {rows[name]['squared_error']:.4f}": drawn[name]["reconstructions"]
              for name in ranked if "reconstructions" in drawn[name]}
    pictures.save_rows(picture, shown | {"test images": images})
    if not fast:
        first = rows[ranked[0]]
        values = {f"frechet_distance {name}": rows[name]["frechet_distance"] for name in ranked}
        plain = min(values["frechet_distance vae"], values["frechet_distance dcgan"])
        margins = {f"margin {name}": plain - values[f"frechet_distance {name}"] for name in ("vqvae", "vqgan")}
        records.record(
            "images_from_codes", values | margins,
            title=f"Images from codes, Fashion-MNIST, {MINUTES:g} CPU minutes each, test split",
            command="python apps/images_from_codes.py", budget={"cpu_minutes_each": MINUTES, "threads": 1}, seeds=[0],
            data={"name": "fashion_mnist", "split": "test"}, picture=picture.name, table=[rows[name] for name in ranked],
            extractor={key: first[key] for key in ("extractor", "checksum", "resize", "accuracy")},
            marks={"vqvae squared error": 0.010, "vqvae perplexity": 128, "margin vqvae": 0.0, "margin vqgan": 0.0},
            missed={name: "half of the distance is that of reconstructions, smoothed by the squared error, the other half "
                          "the prior's, whose bits per code were still falling with its steps" for name in margins},
            published="none: distances over a classifier of the data compare only with each other")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

"""One class of Fashion-MNIST is normal, nine are not: every detector and three classical baselines, ten classes, seeds.

    python apps/one_class_table.py                                # test split, 3 seeds: about an hour on two cores
    python apps/one_class_table.py --only ganomaly,fanogan        # a part; several may run side by side
    python apps/one_class_table.py --split validation --seeds 1   # how the settings were chosen
    python apps/one_class_table.py --fast                         # digits, seconds

Each detector is trained on one class alone, for a fixed number of steps; its threshold is calibrated on held-out images of
that class for a false positive rate of 5 %; AUROC and the observed rate are measured on all ten classes. Settings are the
same for all classes and were chosen on the validation split, never on the test split. Every training's figures are kept in
OUT/<method>.json, so that an interrupted table goes on; those of other settings are trained anew.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
import time  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import IsolationForest  # noqa: E402
from sklearn.svm import OneClassSVM  # noqa: E402

from tfgen import calibration, data, figures, files, metrics, plots, recipes, verbs  # noqa: E402

# (settings, batch size, steps): settings that differ from the recipe's.
DETECTORS = {
    "ae_anomaly": ({"filters": 16, "latent_dim": 256, "code_weight": 20.0, "learning_rate": 3e-3}, 128, 800),
    "vae_anomaly": ({"filters": 16, "standardise": True}, 128, 800),
    "ganomaly": ({"filters": 16, "encoder_weight": 10.0}, 64, 900),
    "skip_ganomaly": ({"filters": 8, "corruption": "erase", "level": 0.6}, 64, 400),
    "region_anomaly": ({"filters": 8, "learning_rate": 1e-3, "critic_learning_rate": 1e-3}, 32, 300),
    "deep_svdd": ({"filters": 8, "pretrain_share": 0.625, "pretrain_rate": 1e-3}, 200, 480),
    "fanogan": ({"filters": 8, "latent_dim": 64, "gan_share": 0.375, "critic_steps": 2, "learning_rate": 1e-3,
                 "critic_learning_rate": 1e-3}, 64, 800),
}
PUBLISHED = {"GEOM": 93.5, "CAE": 90.2, "one-class SVM": 92.8, "Deep SVDD": 89.2}
SOURCES = ("GEOM, CAE and one-class SVM: Golan & El-Yaniv, 2018, arXiv:1805.10917; Deep SVDD: as quoted by Ruff et al., "
           "2020, arXiv:1906.02694")
TINY = {"filters": 4, "latent_dim": 4, "levels": 1}
FPR = 0.05


def flat(images):
    return images.reshape(len(images), -1).astype("float32") / 255.0


def pca_error(train, seed):
    """Squared error of the reconstruction from 32 principal components."""
    pca = PCA(min(32, *train.shape), random_state=seed).fit(train)
    return lambda x: np.square(x - pca.inverse_transform(pca.transform(x))).mean(1)


# On pixels; as in Ruff et al. (2018) for the SVM, and scikit-learn's defaults.
BASELINES = {
    "isolation forest": lambda train, seed: lambda x, fitted=IsolationForest(
        n_estimators=200, random_state=seed).fit(train): -fitted.score_samples(x),
    "PCA": pca_error,
    "one-class SVM": lambda train, seed: lambda x, fitted=OneClassSVM(gamma="scale", nu=0.1).fit(
        train[np.random.default_rng(seed).permutation(len(train))[:3000]]): -fitted.score_samples(x),
}


def trained(method, dataset, seed, fast):
    """(function of float32 images (N, H, W, C) that scores them, CPU minutes) of a detector or a baseline."""
    if method in BASELINES:
        start = time.process_time()
        fitted = BASELINES[method](flat(dataset.images("train")), seed)
        return lambda x: fitted(x.reshape(len(x), -1)), (time.process_time() - start) / 60
    recipe, (settings, batch_size, steps) = recipes.find(method), DETECTORS[method]
    known = recipe.hyperparameters(dataset.spec)
    if fast:
        settings, batch_size, steps = {key: value for key, value in TINY.items() if key in known}, 16, 20
    if "total_steps" in known:
        settings = settings | {"total_steps": steps}
    model, cost = figures.trained_within(None, recipe, dataset, batch_size, settings, seed, steps)
    live = verbs.Live(model)
    return lambda x: live("score", x, 500), cost["cpu_minutes"]


def measure(method, full, normal, split, seed, fast):
    """Figures of one training: AUROC in percent, and the share of normal images over the calibrated threshold."""
    keras.backend.clear_session()
    dataset = data.one_class(full, normal=normal)
    score, minutes = trained(method, dataset, seed, fast)
    held, x = (part.images(which).astype("float32") / 255.0 for part, which in ((dataset, "validation"), (full, split)))
    anomalous = full.labels(split) != normal
    threshold = calibration.threshold(score(held), max(FPR, 1.01 / (len(held) + 1)))
    found = metrics.detection(anomalous, score(x), threshold)
    return {"class": normal, "seed": seed, "auroc": 100 * found["auroc"], "fpr": found["fpr"], "recall": found["recall"],
            "cpu_minutes": round(minutes, 3)}


def all_of(method, full, split, seeds, out, fast):
    """The figures of all classes and seeds of a method, from its file as far as they are there, with these settings."""
    path, settings = out / f"{method.replace(' ', '_')}.json", list(DETECTORS.get(method, ()))
    kept = files.read_json(path) if path.exists() else {"settings": settings, "rows": []}
    rows = kept["rows"] if kept["settings"] == settings else []
    for seed in range(seeds):
        for normal in range(full.spec.num_classes):
            if not any((row["class"], row["seed"]) == (normal, seed) for row in rows):
                rows.append(measure(method, full, normal, split, seed, fast))
                files.write_json(path, {"settings": settings, "rows": rows})
                print(f"{method:16} class {normal} seed {seed}: AUROC {rows[-1]['auroc']:.1f}", flush=True)
    return [row for row in rows if row["seed"] < seeds]


def summary(rows):
    """Mean over classes of the AUROC, its standard deviation over seeds, and the AUROC of each class."""
    classes, seeds = (sorted({row[key] for row in rows}) for key in ("class", "seed"))
    found = {(row["class"], row["seed"]): row["auroc"] for row in rows}
    table = np.array([[found[c, s] for c in classes] for s in seeds])  # (seeds, classes)
    return {"mean": float(table.mean()), "std": float(table.mean(1).std(ddof=1)) if len(seeds) > 1 else 0.0,
            "largest_class_std": float(table.std(0, ddof=1).max()) if len(seeds) > 1 else 0.0,
            "classes": table.mean(0).round(2).tolist(), "fpr": float(np.mean([row["fpr"] for row in rows])),
            "cpu_minutes": float(np.mean([row["cpu_minutes"] for row in rows]))}


def main(split: Annotated[str, typer.Option(help="what is measured; only test is recorded")] = "test", seeds: int = 3,
         only: Annotated[str | None, typer.Option(help="methods, with commas between; then no record is written")] = None,
         out: Annotated[pathlib.Path | None, typer.Option(help="folder of the trainings' figures")] = None,
         fast: Annotated[bool, typer.Option(help="digits and a few steps; no record is written")] = False):
    """Trains what is missing, prints the table and, when it is whole, writes its record; returns {method: summary}."""
    full = data.load("digits" if fast else "fashion_mnist")
    out = out or pathlib.Path("runs") / f"one_class_table-{full.spec.name}-{split}"
    methods = only.split(",") if only else [*DETECTORS, *BASELINES]
    table = {method: summary(all_of(method, full, split, seeds, out, fast)) for method in methods}
    table = dict(sorted(table.items(), key=lambda item: -item[1]["mean"]))
    for method, row in table.items():
        row["beaten_by"] = [name for name in BASELINES if name in table and table[name]["mean"] > row["mean"]]
        print(f"{method:16} AUROC {row['mean']:.2f} +- {row['std']:.2f}   observed FPR {100 * row['fpr']:.1f} %   "
              f"{row['cpu_minutes']:.2f} CPU minutes   {row['classes']}"
              + f"   beaten by {', '.join(row['beaten_by'])}" * (method in DETECTORS and bool(row["beaten_by"])))
    if not only:
        picture = (out if fast or split != "test" else figures.RESULTS) / "pictures" / "one_class_table.png"
        plots.table(picture, list(table), [*full.spec.class_names, "mean"],
                    [[*row["classes"], row["mean"]] for row in table.values()],
                    f"One-class AUROC in percent on {full.spec.name}, mean of {seeds} seed{'s'[:seeds - 1]}")
    if not only and split == "test" and not fast:
        figures.record(
            "one_class_table", {f"{key} {name}": row[key] for name, row in table.items() for key in ("mean", "std")},
            title="One-class AUROC on Fashion-MNIST in percent, mean of ten classes, and its standard deviation over seeds",
            command="python apps/one_class_table.py", seeds=list(range(seeds)), picture=picture.name,
            data={"name": full.spec.name, "split": split, "images": full.spec.sizes[split]}, asked_fpr=FPR,
            budget={"threads": 1, **{name: {"settings": s, "batch_size": b, "steps": n}
                                     for name, (s, b, n) in DETECTORS.items()}},
            table=table, marks={"best recipe": 93, "deep_svdd": 89, "ganomaly": 85},
            published={"value": ", ".join(f"{name} {value}" for name, value in PUBLISHED.items()), "source": SOURCES})
    return table


if __name__ == "__main__":
    typer.run(main)

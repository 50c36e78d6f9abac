"""One class of Fashion-MNIST is normal, nine are not: every detector and five classical baselines, ten classes, seeds.

    python apps/one_class_table.py                                # test split, 3 seeds: about an hour on two cores
    python apps/one_class_table.py --only ganomaly,fanogan        # a part, into the record; several may run side by side
    python apps/one_class_table.py --split validation --seeds 1   # how the detectors' settings were chosen
    python apps/one_class_table.py --choose-baselines             # how the baselines' were: a quarter of an hour
    python apps/one_class_table.py --skips                        # what skip connections cost skip_ganomaly: half an hour
    python apps/one_class_table.py --fast                         # digits, seconds

Each detector is trained on one class alone, for a fixed number of steps; its threshold is calibrated on held-out images of
that class for a false positive rate of 5 %; AUROC and the observed rate are measured on all ten classes. Settings of
detectors and baselines are the same for all classes and were chosen by the mean AUROC over classes on the validation split,
one seed, never on the test split: the baselines' from the whole grid below, the detectors' by hand. Every training's figures
are kept in OUT/<method>.json, so that an interrupted table goes on; those of other settings are trained anew. With --only,
the record keeps the other methods' figures, if their settings are still the same.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import itertools  # noqa: E402
import pathlib  # noqa: E402
import time  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.metrics.pairwise import rbf_kernel  # noqa: E402
from sklearn.svm import OneClassSVM  # noqa: E402

from tfgen import catalogue, data, files, metrics, recipes  # noqa: E402
from tfgen.detection import baselines, calibration, thresholds  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.pictures import plots  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# (settings, batch size, steps): settings that differ from the recipe's.
DETECTORS = {
    "ae_anomaly": ({"filters": 16, "latent_dim": 256, "code_weight": 20.0, "learning_rate": 3e-3}, 128, 800),
    "vae_anomaly": ({"filters": 16, "standardise": True}, 128, 800),
    "ganomaly": ({"filters": 16, "encoder_weight": 10.0}, 64, 900),
    "skip_ganomaly": ({"filters": 8, "corruption": "erase", "level": 0.6, "standardise": True, "skips": 1}, 64, 400),
    "region_anomaly": ({"filters": 8, "learning_rate": 1e-3, "critic_learning_rate": 1e-3, "standardise": True,
                        "region": 14, "stride": 7}, 32, 300),
    "deep_svdd": ({"filters": 8, "pretrain_share": 0.625, "pretrain_rate": 1e-3}, 200, 480),
    "fanogan": ({"filters": 8, "latent_dim": 64, "gan_share": 0.375, "critic_steps": 2, "learning_rate": 1e-3,
                 "critic_learning_rate": 1e-3}, 64, 800),
    "padim": ({"features": 1024, "top": 0.3, "shrinkage": 1e-3}, 32, 400),
}
PUBLISHED = {"GEOM": 93.5, "one-class SVM on pixels": 92.8, "one-class SVM on an autoencoder's codes": 90.2,
             "Deep SVDD": 89.2}
SOURCES = ("GEOM and the SVMs: Golan & El-Yaniv, 2018, arXiv:1805.10917, who chose nu and gamma of an SVM in hindsight, for "
           "each class those of the best AUROC on the test split; Deep SVDD: as quoted by Ruff et al., 2020, "
           "arXiv:1906.02694")
TINY = {"filters": 4, "latent_dim": 4, "levels": 1}
FPR = 0.05


def flat(images):
    return images.reshape(len(images), -1).astype("float32") / 255.0


def knn_of_codes(train, seed, components, whiten, neighbours):
    """`knn` of principal components, each divided by its standard deviation where whitened."""
    codes = PCA(min(components, *train.shape), whiten=whiten, random_state=seed).fit(train)
    score = baselines.knn(codes.transform(train), seed, neighbours)
    return lambda x: score(codes.transform(x))


def svm(train, seed, gamma, nu, images):
    """One-class SVM on some of the images; gamma in units of 1 / (pixels * variance)."""
    some = train[np.random.default_rng(seed).permutation(len(train))[:images]]
    gamma /= train.shape[1] * train.var(dtype=float)
    fitted = OneClassSVM(kernel="precomputed", nu=nu).fit(rbf_kernel(some, gamma=gamma))
    return lambda x: -fitted.score_samples(rbf_kernel(x, some, gamma=gamma))


# On pixels: (function, grid, what was chosen from it).
BASELINES = {
    "isolation forest": (baselines.forest, {"n_estimators": (100, 200, 400), "max_samples": (256, 1024, 1.0),
                                  "max_features": (0.1, 0.3, 1.0)},
                         {"n_estimators": 200, "max_samples": 1.0, "max_features": 1.0}),
    "PCA": (baselines.pca, {"components": (8, 16, 32, 64, 96, 128, 192, 256)}, {"components": 32}),
    "one-class SVM": (svm, {"gamma": (0.3, 1, 3, 10, 30, 100), "nu": (0.01, 0.1, 0.5), "images": (3000, 10_000)},
                      {"gamma": 30, "nu": 0.01, "images": 10_000}),
    "kNN": (baselines.knn, {"neighbours": (1, 2, 5, 10, 20)}, {"neighbours": 2}),
    "kNN on PCA codes": (knn_of_codes, {"components": (32, 64, 128, 256), "whiten": (False, True),
                                        "neighbours": (1, 2, 5, 10)},
                         {"components": 256, "whiten": False, "neighbours": 2}),
}


def train(method, dataset, seed, fast):
    """(function of float32 images (N, H, W, C) that scores them, threshold, CPU minutes) of a detector or a baseline."""
    if method in BASELINES:
        start, (fit, _, settings) = time.process_time(), BASELINES[method]
        fitted = fit(flat(dataset.images("train")), seed, **settings)
        minutes = (time.process_time() - start) / 60
        held = fitted(flat(dataset.images("validation")))
        threshold = thresholds.threshold(held, max(FPR, 1.01 / (len(held) + 1)))
        return lambda x: fitted(x.reshape(len(x), -1)), threshold, minutes
    recipe, (settings, batch_size, steps) = recipes.find(method), DETECTORS[method]
    if fast:
        known = catalogue.hyperparameters(method)
        settings, batch_size, steps = {key: value for key, value in TINY.items() if key in known}, 16, 20
    model, cost = budget.train_for_budget(None, recipe, dataset, batch_size, settings, seed, steps)
    live, about = Live(model), calibration.calibrate(model, dataset)
    return lambda x: live("score", x, batch_size=500), about["threshold"], cost["cpu_minutes"]


def measure(method, full, normal, split, seed, fast):
    """Figures of one training: AUROC in percent, and the share of normal images over the calibrated threshold."""
    keras.backend.clear_session()
    score, threshold, minutes = train(method, data.one_class(full, normal=normal), seed, fast)
    found = metrics.detection(full.labels(split) != normal, score(full.images(split).astype("float32") / 255.0), threshold)
    return {"class": normal, "seed": seed, "auroc": 100 * found["auroc"], "fpr": found["fpr"], "recall": found["recall"],
            "cpu_minutes": round(minutes, 3)}


def recorded(name):
    """The table of a record, {} without one."""
    path = records.RESULTS / f"{name}.json"
    return files.read_json(path)["table"] if path.exists() else {}


def choose_baselines(full, methods, fast):
    """Mean AUROC over classes on the validation split of every setting of each baseline's grid, the best first, recorded."""
    x, table = flat(full.images("validation")), {}
    for method, (fit, grid, chosen) in ((method, BASELINES[method]) for method in methods):
        rows = []
        for settings in (dict(zip(grid, values)) for values in itertools.product(*grid.values())):
            aurocs = [metrics.auroc(full.labels("validation") != normal, fit(flat(part.images("train")), 0, **settings)(x))
                      for normal in range(full.spec.num_classes) for part in [data.one_class(full, normal=normal)]]
            rows.append({"settings": settings, "auroc": 100 * float(np.mean(aurocs))})
            print(f"{method:16} {settings}: AUROC {rows[-1]['auroc']:.2f}", flush=True)
        table[method] = sorted(rows, key=lambda row: -row["auroc"])
        print(f"{method:16} best {table[method][0]}, taken {chosen}", flush=True)
    if not fast:
        table = {method: row for method, row in recorded("one_class_baselines").items() if method in BASELINES} | table
        records.record("one_class_baselines", {f"{method}, {', '.join(f'{k} {v}' for k, v in row['settings'].items())}":
                                               row["auroc"] for method, rows in table.items() for row in rows[:3]},
                       title="Settings of the classical baselines, the three best: one-class AUROC on Fashion-MNIST's "
                       "validation split in percent", command="python apps/one_class_table.py --choose-baselines", seeds=[0],
                       table=table, data={"name": full.spec.name, "split": "validation",
                                          "images": full.spec.sizes["validation"]},
                       grid={method: grid for method, (_, grid, _) in BASELINES.items()}, published="none")
    return table


def compare_skips(full, fast):
    """Mean AUROC over classes on the validation split of `skip_ganomaly` with 0 to all skip connections, recorded."""
    settings, batch_size, steps = before = DETECTORS["skip_ganomaly"]
    most, table = recipes.find("skip_ganomaly").hyperparameters(full.spec)["skips"], {}
    try:
        for skips in range(most + 1):
            DETECTORS["skip_ganomaly"] = (settings | {"skips": skips}, batch_size, steps)
            rows = [measure("skip_ganomaly", full, normal, "validation", 0, fast) for normal in range(full.spec.num_classes)]
            name = f"{skips} of {most}"
            table[name] = summary(rows)
            print(f"skip_ganomaly, {name} skip connections: AUROC {table[name]['mean']:.2f}", flush=True)
    finally:
        DETECTORS["skip_ganomaly"] = before
    if not fast:
        records.record("one_class_skips", {f"mean {name}": row["mean"] for name, row in table.items()}, seeds=[0],
                       title="Skip connections of skip_ganomaly, those of the smallest grids: one-class AUROC on "
                       "Fashion-MNIST's validation split in percent, mean of ten classes", table=table,
                       command="python apps/one_class_table.py --skips", published="none",
                       data={"name": full.spec.name, "split": "validation", "images": full.spec.sizes["validation"]},
                       budget={"threads": 1, "settings": settings | {"skips": list(range(most + 1))},
                               "batch_size": batch_size, "steps": steps})
    return table


def budget_of(method):
    """Settings of a method, batch size and steps of its training, for the record."""
    if method in BASELINES:
        return {"settings": BASELINES[method][2]}
    return dict(zip(("settings", "batch_size", "steps"), DETECTORS[method]))


def kept(methods, seeds):
    """{method: summary} of the record for all but these methods, as far as their settings are still the same; none if it has
    another number of seeds."""
    path = records.RESULTS / "one_class_table.json"
    record = files.read_json(path) if path.exists() else {"table": {}, "budget": {}}
    if record.get("seeds") != list(range(seeds)):
        return {}
    return {name: row for name, row in record["table"].items()
            if name not in methods and name in (*DETECTORS, *BASELINES) and record["budget"][name] == budget_of(name)}


def all_of(method, full, split, seeds, out, fast):
    """The figures of all classes and seeds of a method, from its file as far as they are there, with these settings."""
    path, settings = out / f"{method.replace(' ', '_')}.json", list(DETECTORS.get(method) or BASELINES[method][2:])
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
    """Mean over classes of the AUROC, its standard deviation over seeds if they are several, the AUROC of each class."""
    classes, seeds = (sorted({row[key] for row in rows}) for key in ("class", "seed"))
    found = {(row["class"], row["seed"]): row["auroc"] for row in rows}
    table = np.array([[found[c, s] for c in classes] for s in seeds])  # (seeds, classes)
    spread = {"std": float(table.mean(1).std(ddof=1)),
              "largest_class_std": float(table.std(0, ddof=1).max())} if len(seeds) > 1 else {}
    return {"mean": float(table.mean()), **spread,
            "classes": table.mean(0).round(2).tolist(), "fpr": float(np.mean([row["fpr"] for row in rows])),
            "cpu_minutes": float(np.mean([row["cpu_minutes"] for row in rows]))}


def main(split: Annotated[str, typer.Option(help="what is measured; only test is recorded")] = "test", seeds: int = 3,
         only: Annotated[str | None, typer.Option(help="methods, with commas between")] = None,
         choose: Annotated[bool, typer.Option("--choose-baselines", help="measure the baselines' grids instead")] = False,
         skips: Annotated[bool, typer.Option("--skips", help="compare skip_ganomaly's skip connections instead")] = False,
         out: Annotated[pathlib.Path | None, typer.Option(help="folder of the trainings' figures")] = None,
         fast: Annotated[bool, typer.Option(help="digits and a few steps; no record is written")] = False):
    """Trains what is missing, prints the table and, if it is whole, writes its record; returns {method: summary}."""
    full = data.load("digits" if fast else "fashion_mnist")
    if skips:
        return compare_skips(full, fast)
    if choose:
        return choose_baselines(full, only.split(",") if only else list(BASELINES), fast)
    out = out or pathlib.Path("runs") / f"one_class_table-{full.spec.name}-{split}"
    methods = only.split(",") if only else [*DETECTORS, *BASELINES]
    recording = split == "test" and not fast
    table = {method: summary(all_of(method, full, split, seeds, out, fast)) for method in methods}
    table |= kept(methods, seeds) if recording else {}
    whole = set(table) == {*DETECTORS, *BASELINES}
    table = dict(sorted(table.items(), key=lambda item: -item[1]["mean"]))
    for method, row in table.items():
        row["beaten_by"] = [name for name in BASELINES if name in table and table[name]["mean"] > row["mean"]]
        deviation = f" +- {row['std']:.2f}" if "std" in row else ""
        print(f"{method:16} AUROC {row['mean']:.2f}{deviation}   observed FPR {100 * row['fpr']:.1f} %   "
              f"{row['cpu_minutes']:.2f} CPU minutes   {row['classes']}"
              + f"   beaten by {', '.join(row['beaten_by'])}" * (method in DETECTORS and bool(row["beaten_by"])))
    if whole:
        picture = (records.RESULTS if recording else out) / "pictures" / "one_class_table.png"
        plots.table(picture, list(table), [*full.spec.class_names, "mean"],
                    [[*row["classes"], row["mean"]] for row in table.values()],
                    f"One-class AUROC in percent on {full.spec.name}, mean of {seeds} seed{'s'[:seeds - 1]}")
    if whole and recording:
        records.record(
            "one_class_table",
            {f"{key} {name}": row[key] for name, row in table.items() for key in ("mean", "std") if key in row},
            title="One-class AUROC on Fashion-MNIST in percent, mean of ten classes, and its standard deviation over seeds",
            command="python apps/one_class_table.py", seeds=list(range(seeds)), picture=picture.name,
            data={"name": full.spec.name, "split": split, "images": full.spec.sizes[split]}, asked_fpr=FPR,
            budget={"threads": 1, **{name: budget_of(name) for name in (*DETECTORS, *BASELINES)}},
            chosen="all by mean AUROC over classes on the validation split, seed 0: the baselines from the grids of "
                   "one_class_baselines.json, the detectors by hand",
            table=table, marks={"best recipe": 93, "deep_svdd": 89, "ganomaly": 85},
            published={"value": ", ".join(f"{name} {value}" for name, value in PUBLISHED.items()), "source": SOURCES})
    return table


if __name__ == "__main__":
    typer.run(main)

"""Detectors on vectors and on windows of a series, each beside kNN and an isolation forest: one class is normal.

    python apps/anomalies_in_tables.py           # 15 minutes on two cores
    python apps/anomalies_in_tables.py --fast    # a minute, no record

Vectors: scikit-learn's breast cancer (benign cells are normal) and wine (each of three kinds in turn). Windows: a made
series of two channels, with planted faults of four kinds in its last part: spikes, a shifted level, another frequency, and
one channel that runs behind the other. Each seed draws other splits, another series and other weights. Nothing is chosen
on test data: settings are the recipes' own, training ends where validation rows are best, kNN has five neighbours, the
forest scikit-learn's defaults.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, metrics, recipes, seeds  # noqa: E402
from tfgen.data.readers.tables import built_in  # noqa: E402
from tfgen.detection import baselines, calibration  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.pictures import plots, save_lines  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# {recipe: verb whose values are the score, or minus which is}
DETECTORS = {"ae_anomaly": "score", "vae_anomaly": "score", "deep_svdd": "score", "maf": "log_prob"}
BASELINES = {"knn": "kNN", "isolation_forest": "isolation forest"}
VECTORS = {"breast cancer": ("breast_cancer", ("benign",)), "wine": ("wine", ("class_0", "class_1", "class_2"))}
FAULTS = ("spikes", "level", "frequency", "lag")
TIMES, WINDOW, STEP, EVERY, LENGTH = 12_000, 48, 6, 150, 24  # of the series; times from a fault to the next, and of one
# An epoch of this app has so many steps, whatever the number of rows; training ends PATIENCE epochs behind the best one.
BATCH, STEPS, EPOCHS, PATIENCE = 64, 20, 75, 10


def shuffled(name, seed, share=0.2):
    """A set of scikit-learn, divided by a seed into 60, 20 and 20 %."""
    table = built_in(name)
    values, labels = table.splits["train"]
    order = np.random.default_rng(seed).permutation(len(values))
    ends = [round((1 - 2 * share) * len(order)), round((1 - share) * len(order))]
    parts = dict(zip(("train", "validation", "test"), np.split(order, ends), strict=True))
    return data.vectors({split: values[rows] for split, rows in parts.items()},
                        {split: labels[rows] for split, rows in parts.items()}, name, class_names=table.class_names)


def series(seed, times=TIMES):
    """(values (T, 2), labels (T,)): two periodic channels on different scales; in the last fifth a fault every 150 times,
    1 to 4 by its kind."""
    generator, t = np.random.default_rng(seed), np.arange(times)
    lag, values, labels = 5.0 + generator.uniform(-1, 1), np.empty((times, 2)), np.zeros(times, np.int64)
    phase = t / 9.0 + 0.5 * np.sin(t / 500.0)

    def wave(phase):
        return np.sin(phase) + 0.4 * np.sin(2 * phase + 1.0)

    values[:, 0], values[:, 1] = wave(phase), wave(phase - lag / 9.0)
    for number, start in enumerate(range(round(0.8 * times) + EVERY, times - LENGTH, EVERY)):
        kind, rows, channel = number % len(FAULTS), slice(start, start + LENGTH), generator.integers(2)
        labels[rows] = 1 + kind
        if FAULTS[kind] == "spikes":
            places = generator.choice(np.arange(start, start + LENGTH), 2, replace=False)
            values[places, channel] += generator.choice([-1.5, 1.5])
        elif FAULTS[kind] == "level":
            values[rows, channel] += generator.choice([-0.5, 0.5])
        elif FAULTS[kind] == "frequency":
            values[rows, channel] = wave(phase[start] + 1.7 * (phase[rows] - phase[start]))
        else:
            values[rows, 1] = wave(phase[rows] - (lag + 6.0) / 9.0)
    values += 0.1 * generator.normal(size=values.shape)
    return values * [1.0, 40.0] + [0.0, 300.0], labels


def windows(seed, times):
    """The series as one-class data: windows without a fault train; the part with faults is the test split."""
    values, labels = series(seed, times)
    cut, held = round(0.8 * times), round(0.7 * times)
    splits = {"train": slice(0, held), "validation": slice(held, cut), "test": slice(cut, times)}
    made = data.vectors({split: values[rows] for split, rows in splits.items()},
                        {split: labels[rows] for split, rows in splits.items()}, "series", WINDOW, STEP,
                        ("normal", *FAULTS), normal="normal")
    return data.one_class(made, normal="normal")


def tasks(seed, fast):
    """Yields (name of the task, one-class dataset)."""
    for title, (name, normals) in VECTORS.items():
        for normal in normals[:1] if fast else normals:
            yield title, data.one_class(shuffled(name, seed), normal=normal)
    yield "series", windows(seed, 4000 if fast else TIMES)


def trained(name, dataset, seed, epochs):
    """A recipe with its own settings, with the weights of the epoch that is best by its objective on validation rows.

    A detector of two stages, whose objective is that of the second one, trains to the end.
    """
    keras.backend.clear_session()
    seeds.set_random(seed)
    recipe = recipes.find(name)
    model, _ = recipe.model_for(epochs * STEPS, dataset.spec)
    best = keras.callbacks.EarlyStopping(*recipe.objective[:1], mode=recipe.objective[1], patience=PATIENCE,
                                         restore_best_weights=True)
    model.fit(dataset.train(BATCH, seed), steps_per_epoch=STEPS, epochs=epochs, verbose=0,
              validation_data=dataset.batches("validation"), callbacks=[best] * (getattr(model, "stages", 1) == 1))
    return model


def scores(name, dataset, seed, epochs):
    """Scores of the test split by a recipe."""
    model = trained(name, dataset, seed, epochs)
    if DETECTORS[name] == "score":
        calibration.calibrate(model, dataset)  # settles what is usual of each term
    found = Live(model)(DETECTORS[name], dataset.images("test"), batch_size=512)
    found = found if DETECTORS[name] == "score" else -found
    # A density that underflows float32, as that of a flow far from its training rows, is the smallest there is.
    finite = np.isfinite(found)
    return np.where(finite, found, 1.0 + np.max(found[finite], initial=0.0))


def by_kind(labels, score):
    """{kind of fault: AUROC in percent of its windows against those without a fault}."""
    found = {}
    for number, kind in enumerate(FAULTS, 1):
        part = (labels == 0) | (labels == number)
        if (labels == number).any():
            found[kind] = 100 * metrics.auroc(labels[part] > 0, score[part])
    return found


def measure(seed, epochs, fast):
    """[{"task", "method", "seed", "auroc", …}] of one seed."""
    rows = []
    for task, dataset in tasks(seed, fast):
        anomalous = dataset.anomalous("test")
        found = {BASELINES[name]: value for name, value in baselines.of_vectors(dataset, "test", seed=seed).items()}
        found |= {name: scores(name, dataset, seed, epochs) for name in DETECTORS}
        for method, score in found.items():
            rows.append({"task": task, "normal": dataset.spec.class_names[0], "method": method, "seed": seed,
                         "auroc": 100 * metrics.auroc(anomalous, score)})
            if task == "series":
                rows[-1] |= by_kind(dataset.labels("test"), score)
            print(f"seed {seed}  {task:14} normal {rows[-1]['normal']:10} {method:18} AUROC {rows[-1]['auroc']:.1f}",
                  flush=True)
    return rows


def table_of(rows):
    """{method: {task, and "series: kind" of each fault: (mean over classes and seeds, deviation over seeds)}}."""
    found = {}
    for row in rows:
        of = found.setdefault(row["method"], {})
        of.setdefault(row["task"], {}).setdefault(row["seed"], []).append(row["auroc"])
        for kind in FAULTS:
            if kind in row:
                of.setdefault(f"series: {kind}", {}).setdefault(row["seed"], []).append(row[kind])

    def moments(seeds):
        means = [np.mean(values) for values in seeds.values()]
        return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else 0.0

    return {method: {task: moments(seeds) for task, seeds in of.items()} for method, of in found.items()}


def main(count: Annotated[int, typer.Option("--seeds", min=1)] = 3,
         out: Annotated[pathlib.Path | None, typer.Option(help="folder of the pictures; default: the record's")] = None,
         fast: Annotated[bool, typer.Option(help="one seed, one class of wine, few steps; no record is written")] = False):
    """Trains, prints and draws the table; returns {method: {task: (mean AUROC in percent, deviation over seeds)}}."""
    count, epochs = (1, 3) if fast else (count, EPOCHS)
    rows = [row for seed in range(count) for row in measure(seed, epochs, fast)]
    table = table_of(rows)
    columns = list(next(iter(table.values())))
    for method, of in table.items():
        print(f"{method:18}" + "".join(f"{task} {of[task][0]:.1f} +- {of[task][1]:.1f}   " for task in columns))
    folder = out or (pathlib.Path("runs/anomalies_in_tables") if fast else records.RESULTS / "pictures")
    plots.table(folder / "anomalies_in_tables.png", list(table), columns,
                [[of[task][0] for task in columns] for of in table.values()],
                f"One-class AUROC in percent, vectors and windows, mean of {count} seed{'s'[:count - 1]}")
    dataset = windows(0, 4000 if fast else TIMES)
    # Of each kind a window that holds most of the fault, not the first, which touches it.
    shown = [int(np.argmax(dataset.labels("test") == number)) + LENGTH // STEP for number in range(1 + len(FAULTS))]
    save_lines(folder / "faults_of_a_series.png", {"window": dataset.images("test")[shown]},
               names=dataset.spec.class_names)
    if not fast:
        records.record(
            "anomalies_in_tables", {f"{part} {task}, {method}": of[task][index] for method, of in table.items()
                                    for task in columns for index, part in enumerate(("auroc", "std"))},
            title="One-class AUROC in percent on vectors and on windows of a series, beside kNN and an isolation forest",
            command="python apps/anomalies_in_tables.py", seeds=list(range(count)), picture="anomalies_in_tables.png",
            data={"name": "breast_cancer, wine (scikit-learn), a made series", "split": "test"},
            budget={"steps_at_most": STEPS * EPOCHS, "patience_steps": STEPS * PATIENCE, "batch_size": BATCH,
                    "threads": 1}, table=rows, chosen="the epoch on validation rows; settings are defaults",
            published="none for these splits")
    return table


if __name__ == "__main__":
    typer.run(main)

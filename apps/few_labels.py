"""Pre-training without labels: a classifier fine-tuned on few labels beside the same network trained from scratch.

    python apps/few_labels.py                 # Fashion-MNIST, a quarter of an hour on two cores
    python apps/few_labels.py --fast          # digits, seconds

An encoder learns from all training images without their labels, as a VAE's (one, whose seed is 0). Its convolutions and a
new softmax layer are then trained on 100, 500 and 1,000 labels. Both arms take the same network, the same label subsets and
the same steps; each arm's learning rate is the best on the validation split over two subsets that are not scored, of a grid
that grows as long as its best is at an edge. The test split is scored once for each seed, and the arms are compared seed by
seed.
"""

import math
import pathlib
import time
from typing import Annotated

import keras
import numpy as np
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfgen import data, files, recipes
from tfgen.figures import records

ARMS = {"from scratch": "#d95f02", "pre-trained": "#1f77b4"}
RATES = (3e-4, 1e-3, 3e-3)  # at first
CHOOSING = (1000, 1001)  # seeds of the subsets by which the rate is chosen


def subset(labels, count, seed):
    """Indices of `count` images, as many of each class."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels)
    return np.concatenate([generator.permutation(np.flatnonzero(labels == c))[:count // len(classes)] for c in classes])


def classifier(dataset, weights, filters, rate):
    """The encoder's convolutions (with `weights`, or fresh ones) under dropout and a softmax layer."""
    encoder = recipes.find("vae").model(dataset.spec, filters=filters, latent_dim=32).encoder
    if weights is not None:
        encoder.set_weights(weights)
    features = encoder.layers[-1].input  # (B, flat), below the Gaussian's parameters
    logits = keras.layers.Dense(dataset.spec.num_classes)(keras.layers.Dropout(0.5)(features))
    model = keras.Model(encoder.input, logits)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model


def accuracy(dataset, weights, filters, count, seed, rate, steps, split):
    """Accuracy on `split` after `steps` steps on `count` labels."""
    keras.utils.set_random_seed(seed)
    chosen = subset(dataset.labels("train"), count, seed)
    x, y = dataset.images("train")[chosen].astype("float32") / 255, dataset.labels("train")[chosen]
    model = classifier(dataset, weights, filters, rate)
    epochs = max(1, steps * 50 // len(x))
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    held = dataset.images(split).astype("float32") / 255
    return model.evaluate(held, dataset.labels(split), batch_size=500, verbose=0)[1]


def best_rate(measure, rates):
    """(rate, {rate: what `measure(rate)` gave}): the best of a grid that grows by half a decade while that is an edge."""
    found = {rate: measure(rate) for rate in rates}
    while len(rates) > 1:
        best, edges = max(found, key=found.get), (min(found), max(found))
        if best not in edges:
            break
        # 1, 3 and 10 are half a decade apart.
        further = float(f"{10 ** ((round(2 * math.log10(best)) + (1 if best == edges[1] else -1)) / 2):.0e}")
        found[further] = measure(further)
    return max(found, key=found.get), found


def gain(scores, count):
    """(mean, standard error) over seeds of what pre-training adds to the accuracy, each with its pair of trainings."""
    pairs = np.array([scores["pre-trained"][count], scores["from scratch"][count]])
    differences = pairs[0] - pairs[1]
    return float(differences.mean()), float(deviation(differences) / len(differences)**0.5)


def deviation(values):
    """Standard deviation of a sample; NaN of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def draw(path, counts, scores):
    """Accuracy against labels, mean and range over seeds, and what pre-training gains, written to `path`."""
    figure = Figure(figsize=(6, 4.2), dpi=110, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for arm, colour in ARMS.items():
        values = 100 * np.array([scores[arm][count] for count in counts])  # (counts, seeds)
        axes.plot(counts, values.mean(1), "o-", color=colour, label=arm)
        axes.fill_between(counts, values.min(1), values.max(1), color=colour, alpha=0.2, linewidth=0)
    seeds = len(scores["pre-trained"][counts[0]])
    axes.set(xscale="log", xlabel="labels, and what pre-training gains in points: mean of pairs +- its standard error",
             ylabel="test accuracy, %", title=f"A classifier of few labels: mean and range, seeds: {seeds}")
    gains = [gain(scores, count) for count in counts]
    axes.set_xticks(counts, [f"{count:,}\n{100 * mean:+.1f} +- {100 * error:.1f}"
                             for count, (mean, error) in zip(counts, gains)])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with files.written_aside(path) as aside:
        canvas.print_png(aside)


def main(dataset_name: Annotated[str, typer.Option("--data")] = "fashion_mnist", out: pathlib.Path = records.RESULTS,
         seeds: int = 10, epochs: int = 8, steps: int = 300, fast: bool = False):
    """Writes OUT/pictures/few_labels.png and, unless --fast, its record; returns {arm: {labels: [accuracy a seed]}}."""
    start = time.perf_counter()
    if fast:
        dataset_name, seeds, epochs, steps = "digits", 1, 1, 4
    dataset = data.load(dataset_name)
    counts, filters = ((100,) if fast else (100, 500, 1000)), 4 if fast else 32
    choices = RATES[:1] if fast else RATES
    keras.utils.set_random_seed(0)
    vae = recipes.find("vae").model(dataset.spec, filters=filters, latent_dim=32)
    vae.fit(dataset.train(128), epochs=epochs, steps_per_epoch=dataset.steps(128), verbose=0, shuffle=False)
    weights = {"from scratch": None, "pre-trained": vae.encoder.get_weights()}
    scores, rates, held = ({arm: {} for arm in ARMS} for _ in range(3))
    for arm in ARMS:
        for count in counts:
            def validation(rate, arm=arm, count=count):
                return float(np.mean([accuracy(dataset, weights[arm], filters, count, seed, rate, steps, "validation")
                                      for seed in CHOOSING[:1 if fast else None]]))

            rates[arm][count], held[arm][count] = best_rate(validation, choices)
            scores[arm][count] = [accuracy(dataset, weights[arm], filters, count, seed, rates[arm][count], steps, "test")
                                  for seed in range(seeds)]
            print(f"{arm:13} {count:5} labels: {100 * np.mean(scores[arm][count]):.1f} % "
                  f"(learning rate {rates[arm][count]})", flush=True)
    draw(out / "pictures" / "few_labels.png", counts, scores)
    if not fast:
        cells = {f"{arm}, {count} labels": scores[arm][count] for count in counts for arm in ARMS}
        values = {name: float(np.mean(found)) for name, found in cells.items()}
        for count in counts:
            values[f"gain, {count} labels"], values[f"standard error of the gain, {count} labels"] = gain(scores, count)
        records.record("few_labels", values, title=f"Test accuracy on few labels of {dataset_name}, mean over seeds; gain "
                       "of pre-training, mean of paired differences", command="python apps/few_labels.py",
                       seeds=list(range(seeds)), table=scores, picture="few_labels.png",
                       standard_deviation={name: deviation(found) for name, found in cells.items()},
                       data={"name": dataset_name, "split": "test", "images": dataset.spec.sizes["test"]},
                       budget={"pre-training epochs": epochs, "fine-tuning steps": steps, "learning rates": rates,
                               "validation accuracy by rate": held,
                               "wall_minutes": round((time.perf_counter() - start) / 60, 1)}, published="none")
    return scores


if __name__ == "__main__":
    typer.run(main)

"""What the weight of the KL term does: one VAE with a 2-D latent per weight, their codes and their samples.

    python apps/kl_weight_sweep.py            # Fashion-MNIST, a few minutes on two cores
    python apps/kl_weight_sweep.py --fast     # digits, seconds

Each VAE minimises E_q[-log p(x|z)] + weight * KL(q(z|x) || N(0, 1)). With weight 1 that is minus the ELBO, were p(x|z) a
probability: on grey levels the Bernoulli is minus a cross-entropy, so the word here is bound. Weight 0 is an autoencoder
with noise that it is free to switch off.
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
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from PIL import Image

from tfgen import VAE, data, files, noise, pictures
from tfgen.figures import records
from tfgen.networks import mlp
from tfgen.verbs.live import Live

WEIGHTS = (0.0, 0.02, 0.1, 0.5, 1.0, 2.0)


def train(dataset, weight, units, epochs, seed):
    """A VAE with a 2-D latent whose KL term has `weight`; the learning rate falls to 0 along a cosine."""
    keras.utils.set_random_seed(seed)
    shape = dataset.spec.image_shape
    model = VAE(mlp.encoder(shape, units, 4), mlp.decoder(2, units[::-1], shape), kl_weight=weight)
    steps = dataset.steps(128)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps)))
    model.fit(dataset.train(128, seed), epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def bounds(model, dataset, split):
    """Nats an image: reconstruction, a cross-entropy, kl and bound = -(reconstruction + kl)."""
    values = model.evaluate(dataset.batches(split, 500), verbose=0, return_dict=True)
    return {"reconstruction": values["reconstruction"], "kl": values["kl"], "bound": values["elbo"]}


def draw(path, columns, labels, class_names):
    """One column a weight: codes, standard Gaussian to scale, and below them decoded draws from that Gaussian."""
    figure = Figure(figsize=(2.5 * len(columns), 6.1), dpi=100, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(columns))
    for (codes_axes, samples_axes), (weight, numbers, codes, samples) in zip(axes.T, columns):
        codes_axes.scatter(*codes.T, c=[f"C{label}" for label in labels], s=3.5, linewidths=0)
        for sigma in (1, 2, 3):
            codes_axes.add_patch(Circle((0, 0), sigma, fill=False, linewidth=1.1, color="black", zorder=3))
        # Frames are alike, four sigma each way, but where the codes leave them.
        reach = max(4.0, 1.03 * np.abs(codes).max())
        codes_axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        codes_axes.locator_params(nbins=5)
        codes_axes.set_title(f"KL weight {weight:g}\nbound {numbers['bound']:.1f}\nKL {numbers['kl']:.1f} nats", fontsize=13)
        samples_axes.imshow(pictures.grid(samples, columns=6, scale=1), interpolation="nearest")
        samples_axes.axis("off")
    axes[0, 0].set_ylabel("codes of validation images\ncircles: 1, 2, 3 sigma of N(0, 1)", fontsize=12)
    axes[1, 0].axis("on")
    axes[1, 0].set(xticks=[], yticks=[])
    axes[1, 0].spines[:].set_visible(False)
    axes[1, 0].set_ylabel("decoded draws from N(0, 1)", fontsize=12)
    names = class_names or [str(label) for label in range(int(labels.max()) + 1)]
    dots = [Line2D([], [], linestyle="", marker="o", color=f"C{index}") for index in range(len(names))]
    figure.legend(dots, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=12,
                  handletextpad=0.0, columnspacing=1.0)
    with files.written_aside(path) as aside:
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE).save(aside)


def main(
    source: Annotated[str, typer.Option("--data", help="labelled data of at most ten classes")] = "fashion_mnist",
    out: Annotated[pathlib.Path | None, typer.Option(help="the picture")] = None,
    epochs: Annotated[int, typer.Option(help="passes over the data for each weight")] = 10,
    seed: Annotated[int, typer.Option(help="of weights, noise and data order")] = 0,
    fast: Annotated[bool, typer.Option(help="digits and tiny networks; no record is written")] = False,
):
    """Trains a VAE per KL weight, draws codes and samples, and records the bounds in results/kl_weight_sweep.json."""
    source, units, epochs = ("digits", [64], 20) if fast else (source, [256, 128], epochs)
    out = out or pathlib.Path("runs" if fast else "results/pictures") / "kl_weight_sweep.png"
    dataset = data.load(source)
    images, labels = dataset.images("validation")[:2000] / np.float32(255), dataset.labels("validation")[:2000]
    draws = noise.normal(np.arange(36), (2,), noise.LATENT).numpy()  # the same for all weights
    start, busy, columns, table = time.perf_counter(), time.process_time(), [], []
    for weight in WEIGHTS[::4] if fast else WEIGHTS:
        model = train(dataset, weight, units, epochs, seed)
        live, numbers = Live(model), bounds(model, dataset, "validation")
        codes = live("encode", images)
        columns.append((weight, numbers, codes, live("decode", draws)))
        table.append({"kl_weight": weight, "validation": numbers, "test": bounds(model, dataset, "test"),
                      "code_sigma": [float(sigma) for sigma in codes.std(0)]})
        print(f"KL weight {weight:<5g}" + "".join(f"  {key} {value:8.2f}" for key, value in numbers.items()))
    budget = {"epochs": epochs, "units": units, "wall_minutes": round((time.perf_counter() - start) / 60, 2),
              "cpu_minutes": round((time.process_time() - busy) / 60, 2)}
    draw(out, columns, labels, dataset.spec.class_names)
    best = max(table, key=lambda row: row["validation"]["bound"])
    values = {f"validation_bound_kl_weight_{row['kl_weight']:g}": row["validation"]["bound"] for row in table}
    values |= {"best_kl_weight_on_validation": best["kl_weight"], "test_bound_of_best": best["test"]["bound"]}
    assert all(map(math.isfinite, values.values())), "a training diverged; try fewer epochs or another seed"
    if not fast:
        records.record("kl_weight_sweep", values, title=f"VAE with a 2-D latent on {source}: negative cross-entropy bound "
                       "by weight of the KL term, nats per image", command="python apps/kl_weight_sweep.py", budget=budget,
                       seeds=[seed], data={"name": source, "sizes": dataset.spec.sizes}, table=table, picture=out.name,
                       published="none for this network, latent and likelihood")
    print(f"wrote {out}")
    return values | {"table": table, "budget": budget}


if __name__ == "__main__":
    typer.run(main)

"""A flow trained on clothes finds other images likelier than clothes: likelihood says little about what belongs.

    python apps/likelihood_is_not_typicality.py            # Fashion-MNIST, five CPU minutes of training
    python apps/likelihood_is_not_typicality.py --fast     # digits, seconds, too short to learn much

After Nalisnick et al. (2019, "Do deep generative models know what they don't know?"). All images have the same shape and
number of grey levels, and the flow has seen the training images alone. A density is large where it is far from typical, as
the density of a Gaussian in many dimensions is largest at its mean, where no sample ever lies; and a flow's depends most
on how smooth an image is. So a detector that calls unlikely images anomalies can do worse than chance: below 0.5 the AUROC
says that the other images are likelier than the flow's own.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402, I001
import typer  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from PIL import Image  # noqa: E402

from tfgen import data, files, metrics, noise, recipes  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

VALUES = {"flow_steps": 8, "filters": 64}


def alternatives(own, other):
    """{name: images float32 (N, H, W, C) in [0, 1]} that the flow was not trained on, as many as its own.

    Args:
        own: test images of the flow's data.
        other: images of another data set of the same shape, or None.
    """
    found = {"half as bright": 0.5 * own, "black": 0.0 * own, "inverted": 1.0 - own,
             "uniform noise": noise.uniform(np.arange(len(own)), own.shape[1:], noise.CORRUPTION).numpy()}
    return found if other is None else {"digits": other} | found


def digits_like_mnist(count, side):
    """Digits of scikit-learn at 5/7 of the side in a black frame, the layout of MNIST: float32 (count, side, side, 1)."""
    frame = side // 7
    digits = data.load("digits", image_size=side - 2 * frame)
    found = np.concatenate([digits.images(split) for split in ("test", "validation", "train")])[:count]
    return np.pad(found, ((0, 0), (frame, frame), (frame, frame), (0, 0))) / np.float32(255)


def measure(live, own, others, k):
    """{name: {"bits_per_dim", "auroc", "share_likelier", …}} and {name: bits per dimension of each image}.

    auroc: of -log p as an anomaly score, the flow's own images being normal. share_likelier: of the images that have more
    likelihood than the median of the flow's own.
    """
    shape = own.shape[1:]
    bits = {name: metrics.bits_per_dim(live("log_prob", x.astype("float32"), k=k), shape)
            for name, x in ({"its own": own} | others).items()}
    rows = {}
    for name, values in bits.items():
        rows[name] = {"bits_per_dim": float(values.mean()), "deviation": float(values.std())}
        if name != "its own":
            labels = np.arange(2 * len(own)) >= len(own)
            rows[name] |= {"auroc": metrics.auroc(labels, np.concatenate([bits["its own"], values])),
                           "share_likelier": float(np.mean(values < np.median(bits["its own"])))}
    return rows, bits


def draw(path, bits, examples, source):
    """One histogram of bits per dimension per set of images, and three images of each beside its name."""
    figure = Figure(figsize=(9.5, 1.05 * len(bits) + 1.0), dpi=100, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(bits), 2, width_ratios=(1, 3.2))
    low, high = (edge([edge(values) for values in bits.values()]) for edge in (np.min, np.max))
    for (left, right), (name, values), shown in zip(axes, bits.items(), examples):
        left.imshow(np.clip(np.concatenate(shown, 1), 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
        left.axis("off")
        right.hist(values, np.linspace(low, high, 90), color="C0" if name == "its own" else "C1", density=True)
        right.axvline(np.median(bits["its own"]), color="black", linewidth=1.0, linestyle=":")
        right.set(yticks=[], xlim=(low, high))
        right.tick_params(labelbottom=right is axes[-1, 1])
        right.set_ylabel(name.replace(" ", "\n", 1), rotation=0, ha="right", va="center", fontsize=11)
    axes[-1, 1].set(xlabel=f"bits per dimension under a flow trained on {source}; left: likelier")
    with files.written_aside(path) as aside:
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE).save(aside)


def main(
    minutes: Annotated[float, typer.Option(help="CPU minutes of training, tracing excluded")] = 5.0,
    count: Annotated[int, typer.Option(help="test images of each set")] = 1000,
    k: Annotated[int, typer.Option(help="importance samples of the dequantisation's bound")] = 1,
    out: Annotated[pathlib.Path | None, typer.Option(help="the picture")] = None,
    fast: Annotated[bool, typer.Option(help="digits and a second; no record is written")] = False,
):
    """Trains a flow, compares likelihoods and records them in results/likelihood_is_not_typicality.json."""
    source, minutes, count = ("digits", 0.001, 40) if fast else ("fashion_mnist", minutes, count)
    out = out or pathlib.Path("runs" if fast else "results/pictures") / "likelihood_is_not_typicality.png"
    dataset, values = data.load(source), {"flow_steps": 1, "filters": 8} if fast else VALUES
    own = dataset.images("test")[:count] / np.float32(255)
    other = None if fast else digits_like_mnist(count, own.shape[1])
    model, cost = budget.train_for_budget(minutes, recipes.find("glow"), dataset, 64, values)
    others = alternatives(own, other)
    rows, bits = measure(Live(model), own, others, k)
    for name, row in rows.items():
        print(f"{name:18}", "  ".join(f"{key} {value:8.3f}" for key, value in row.items()))
    draw(out, bits, [x[:3] for x in (own, *others.values())], source)
    found = {f"{key} {name}": row[key] for name, row in rows.items() for key in ("bits_per_dim", "auroc") if key in row}
    if not fast:
        records.record("likelihood_is_not_typicality", found, title=f"Images under a flow trained on {source}: bits per "
                       "dimension, and AUROC of -log p for telling other images", budget=cost | {"threads": 1}, seeds=[0],
                       command="python apps/likelihood_is_not_typicality.py", settings=values, picture=out.name,
                       data={"name": source, "split": "test", "images": count, "levels": dataset.spec.levels, "k": k},
                       table=[{"images": name, **row} for name, row in rows.items()],
                       published="Nalisnick et al. (2019), figure 2: a Glow, Fashion-MNIST against MNIST")
    print(f"wrote {out}")
    return rows


if __name__ == "__main__":
    typer.run(main)

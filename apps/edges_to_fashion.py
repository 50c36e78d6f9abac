"""What a sketch becomes: pix2pix from the edges of Fashion-MNIST to its images.

    python apps/edges_to_fashion.py                                      # 5 CPU minutes for each of two networks
    python apps/edges_to_fashion.py --split validation --out runs/edges  # how the settings were chosen
    python apps/edges_to_fashion.py --fast                               # digits, seconds

Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step. Sketches
are Canny's edges of the images; the hand-drawn ones below no network has seen. Everything trivial is measured, too.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
import typer  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402

from tfgen import data, metrics, pictures, recipes  # noqa: E402
from tfgen.evaluation import features  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# Chosen on the validation split. The second network has no use for its critic, which is made as small as it can be.
PIX2PIX = {"filters": 32, "critic_layers": 1, "dropout": 0.0, "learning_rate": 1e-3,
           "critic_learning_rate": 1e-3}
NETWORKS = {"pix2pix": PIX2PIX, "U-Net, L1 alone": PIX2PIX | {"adversarial_weight": 0.0, "critic_layers": 0}}
# Lines through points (x, y) of 28x28 pixels.
HAND_DRAWN = {
    "shirt": [[(10, 3), (3, 8), (6, 13), (8, 11), (8, 24), (19, 24), (19, 11), (21, 13), (24, 8), (17, 3), (13, 6),
               (10, 3)]],
    "trousers": [[(9, 2), (18, 2), (19, 25), (15, 25), (13, 9), (12, 25), (8, 25), (9, 2)], [(9, 4), (18, 4)]],
    "dress": [[(11, 2), (10, 8), (11, 12), (7, 25), (20, 25), (16, 12), (17, 8), (16, 2), (13, 5), (11, 2)]],
    "pullover": [[(10, 3), (5, 6), (2, 23), (6, 24), (8, 13), (8, 24), (19, 24), (19, 13), (21, 24), (25, 23), (22, 6),
                  (17, 3), (10, 3)]],
    "coat": [[(10, 2), (5, 5), (3, 22), (6, 23), (8, 12), (8, 26), (19, 26), (19, 12), (21, 23), (24, 22), (22, 5), (17, 2),
              (10, 2)], [(13, 3), (13, 26)]],
    "bag": [[(3, 12), (24, 12), (25, 24), (2, 24), (3, 12)], [(8, 12), (9, 5), (18, 5), (19, 12)]],
    "boot": [[(14, 3), (23, 3), (24, 22), (18, 22), (16, 20), (5, 22), (3, 20), (5, 17), (12, 14), (14, 3)]],
    "trainer": [[(2, 16), (9, 15), (15, 10), (18, 13), (25, 11), (25, 20), (2, 20), (2, 16)], [(2, 18), (25, 18)]],
    "sandal": [[(2, 20), (12, 17), (25, 9), (25, 22), (22, 22), (22, 14), (12, 20), (2, 22), (2, 20)], [(6, 19), (10, 13),
               (13, 17)], [(18, 13), (16, 6), (22, 5), (25, 9)]],
    "shorts": [[(8, 6), (19, 6), (22, 20), (15, 20), (13, 12), (12, 20), (5, 20), (8, 6)], [(8, 8), (19, 8)]]}


def drawn(lines, side):
    """A sketch, float32 (side, side, 1) of 0 and 1."""
    sheet = Image.new("L", (side, side))
    for line in lines:
        ImageDraw.Draw(sheet).line([(round(x * side / 28), round(y * side / 28)) for x, y in line], fill=255)
    return np.asarray(sheet, np.float32)[..., None] / 255.0


def filled(sketches):
    """Bool (N, H, W, 1): the lines, closed over gaps of a pixel, and what they enclose."""
    closed = [scipy.ndimage.binary_closing(sketch[..., 0], np.ones((3, 3))) for sketch in sketches]
    return np.stack([scipy.ndimage.binary_fill_holes(lines)[..., None] for lines in closed])


def trivial(dataset, sketches, count=20_000):
    """{name: images}: what needs no network; fitted to training pairs."""
    x, y = (part.astype("float32") / 255.0 for part in (dataset.sources("train", count), dataset.images("train")[:count]))
    flat, shape = x.reshape(len(x), -1), (-1, *y.shape[1:])
    level = np.float32(y[:1000][filled(x[:1000])].mean())
    linear = Ridge(alpha=100.0).fit(flat, y.reshape(len(y), -1))
    mean = y.mean(0, dtype=float).astype("float32")
    return {"sketch itself": sketches, "mean image": np.broadcast_to(mean, sketches.shape).copy(),
            "filled sketch": filled(sketches) * level,
            "linear regression": np.clip(linear.predict(sketches.reshape(len(sketches), -1)), 0, 1).reshape(shape)}


def main(
    minutes: Annotated[float, typer.Option(help="CPU minutes of training for each network")] = 5.0,
    split: Annotated[str, typer.Option(help="what is measured; only test is recorded")] = "test",
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="digits and a second each; no record is written")] = False,
):
    """Trains, measures and draws; returns {method: its figures}."""
    source, minutes, small = ("digits", 0.001, {"filters": 4}) if fast else ("fashion_mnist", minutes, {})
    out = out or (pathlib.Path("runs/edges_to_fashion") if fast else records.RESULTS)
    dataset = data.load(source, pairs="edges")
    images, sketches = (x.astype("float32") / 255.0 for x in (dataset.images(split), dataset.sources(split)))
    by_hand = np.stack([drawn(lines, images.shape[1]) for lines in HAND_DRAWN.values()])
    made, made_by_hand, about = trivial(dataset, sketches), {}, {}
    for name, values in NETWORKS.items():
        model, cost = budget.train_for_budget(minutes, recipes.find("pix2pix"), dataset, 16, values | small)
        live, about[name] = Live(model), cost
        made[name], made_by_hand[name] = live("translate", sketches), live("translate", by_hand)
        keras.backend.clear_session()
    extractor = features.classifier(dataset)

    def batched(x):
        return np.split(x, range(128, len(x), 128))

    rows = {name: metrics.similarity(found, images) | {
        "frechet_distance": metrics.compare(batched(images), batched(found), extractor)["frechet_distance"]}
        for name, found in made.items()}
    for name, row in rows.items():
        print(f"{name:18}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    best = max((name for name in made if name not in NETWORKS), key=lambda name: rows[name]["ssim"])
    first = np.unique(dataset.labels(split), return_index=True)[1]
    picture = out / "pictures" / "edges_to_fashion.png"
    shown = {"edges of an image": sketches[first], "pix2pix": made["pix2pix"][first], "the image": images[first],
             "drawn by hand": by_hand, "becomes": made_by_hand["pix2pix"]}
    pictures.save_rows(picture, {label: row.repeat(3, 1).repeat(3, 2) for label, row in shown.items()})
    if out == records.RESULTS and split == "test" and not fast:
        records.record(
            "edges_to_fashion", {f"{key} {name}": rows[name][key] for key in ("ssim", "l1", "frechet_distance") for name in
                                 (*NETWORKS, best)},
            title=f"Edges to images of {source}, {minutes:g} CPU minutes a network; best trivial baseline by SSIM: '{best}'",
            command="python apps/edges_to_fashion.py", budget={"cpu_minutes_each": minutes, "threads": 1}, seeds=[0],
            data={"name": source, "split": split, "images": len(images), "pairs": "edges"}, extractor=extractor.describe(),
            table=[{"method": name, **row, **about.get(name, {})} for name, row in rows.items()], picture=picture.name,
            published="none for these pairs and this budget; trivial baselines stand beside it")
    print(f"wrote {picture}; the best trivial baseline is '{best}'")
    return rows


if __name__ == "__main__":
    typer.run(main)

"""Super-resolution of Fashion-MNIST, 7x7 to 28x28 pixels: pix2pix, which learns it from pairs, beside PULSE, which does not.

    python apps/super_resolution.py                                    # 4 CPU minutes for each network, then the search
    python apps/super_resolution.py --split validation --out runs/sr   # how the settings were chosen
    python apps/super_resolution.py --fast                             # digits, seconds

Budget: CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step. All
methods are given the same low-resolution images, means of 4x4 pixels, and are measured on the same held-out ones.
PULSE searches the latents of a WGAN-GP, which has never seen a low-resolution image.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
import time  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, metrics, pictures, recipes  # noqa: E402
from tfgen.data.pairings import downscale, upscale  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.latent.pulse import pulse  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

FACTOR = 4
# Chosen on the validation split. The L1 network has no use for its critic, which is made as small as it can be.
PIX2PIX = {"filters": 32, "critic_layers": 1, "dropout": 0.0, "flip": False, "learning_rate": 1e-3,
           "critic_learning_rate": 1e-3}
NETWORKS = {"U-Net, L1 alone": PIX2PIX | {"adversarial_weight": 0.0, "critic_layers": 0}, "pix2pix": PIX2PIX}
GENERATOR = {"filters": 32, "learning_rate": 5e-4, "critic_learning_rate": 5e-4}


def measure(made, images, low):
    """Similarity of images made from `low` to the originals, and how far they are from `low` when downscaled again."""
    again = downscale(made, FACTOR).numpy()
    return metrics.similarity(made, images) | {"rmse_downscaled": float(np.sqrt(np.mean(np.square(again - low))))}


def draw(path, low, made, rows, images, labels):
    """The first image of each class: what was given, what each method made of it, and the original."""
    chosen = np.unique(labels, return_index=True)[1]
    side = images.shape[1]

    def large(shown):
        times = 4 * side // shown.shape[1]
        return shown[chosen].repeat(times, 1).repeat(times, 2)

    drawn = {f"given: {low.shape[1]} x {low.shape[2]} pixels": large(low)}
    for name, row in rows.items():
        if name != "nearest":  # looks like what was given
            drawn[f"{name}:  {row['psnr_db']:.1f} dB,  SSIM {row['ssim']:.2f}"] = large(made[name])
    pictures.save_rows(path, drawn | {f"original: {side} x {side} pixels": large(images)})


def main(
    minutes: Annotated[float, typer.Option(help="CPU minutes of training for each network")] = 4.0,
    count: Annotated[int, typer.Option(help="held-out images that all methods are measured on")] = 500,
    split: Annotated[str, typer.Option(help="where these are from; only test is recorded")] = "test",
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="digits and a second each; no record is written")] = False,
):
    """Trains the networks, searches, measures and draws; returns {method: its figures}."""
    source, minutes, count, steps = ("digits", 0.001, 40, 3) if fast else ("fashion_mnist", minutes, count, 400)
    small = {"filters": 4} if fast else {}
    out = out or (pathlib.Path("runs/super_resolution") if fast else records.RESULTS)
    dataset = data.load(source, pairs=f"low_resolution:{FACTOR}")
    images = dataset.images(split)[:count].astype("float32") / 255.0
    low = downscale(images, FACTOR).numpy()
    bicubic = upscale(low, images.shape[1:3]).numpy()
    made = {"nearest": low.repeat(FACTOR, 1).repeat(FACTOR, 2), "bicubic": bicubic}
    about = {}
    for name, values in NETWORKS.items():
        model, cost = budget.train_for_budget(minutes, recipes.find("pix2pix"), dataset, 16, values | small)
        made[name], about[name] = Live(model)("translate", bicubic), cost
        keras.backend.clear_session()
    model, cost = budget.train_for_budget(minutes, recipes.find("wgan_gp"), dataset, 64, GENERATOR | small)
    start = time.process_time()
    made["PULSE"] = pulse(model, low, FACTOR, steps=steps).images
    about["PULSE"] = cost | {"search_steps": steps,
                             "search_cpu_s_per_image": round((time.process_time() - start) / len(images), 3)}
    rows = {name: measure(found, images, low) for name, found in made.items()}
    for name, row in rows.items():
        print(f"{name:16}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    picture = out / "pictures" / "super_resolution.png"
    draw(picture, low, made, rows, images, dataset.labels(split)[:count])
    if out == records.RESULTS and split == "test" and not fast:
        records.record(
            "super_resolution", {f"{key} {name}": rows[name][key] for key in ("psnr_db", "ssim", "l1") for name in rows},
            title=f"Super-resolution of {source}, {FACTOR} times in each direction, {minutes:g} CPU minutes a network",
            command="python apps/super_resolution.py", budget={"cpu_minutes_each": minutes, "threads": 1}, seeds=[0],
            data={"name": source, "split": split, "images": len(images), "pairs": f"low_resolution:{FACTOR}"},
            table=[{"method": name, **row, **about.get(name, {})} for name, row in rows.items()], picture=picture.name,
            published="none for these images, factor and budget; bicubic interpolation is the baseline")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

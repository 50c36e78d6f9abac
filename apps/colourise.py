"""Colours for grey photographs: pix2pix trained on the left three quarters of seven photographs colours the right quarters.

    python apps/colourise.py                                        # 6 CPU minutes of training
    python apps/colourise.py --part validation --out runs/colours   # how the settings were chosen
    python apps/colourise.py --fast                                 # two photographs, seconds

Needs scikit-image (pip install 'tfgen[apps]'), which ships five of the photographs; two are scikit-learn's. Seven
photographs do not teach what things in general are coloured like: the network learns the colours of these very scenes,
and what is to be seen in a right quarter only is coloured like what resembles it elsewhere.

The network translates patches of 64x64 pixels; of a larger part, overlapping ones that are blended. Only the chroma
(YCbCr, Rec. 601) is the network's, the luminance is that of the grey photograph.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
import sys  # noqa: E402
from typing import Annotated, Literal  # noqa: E402

import numpy as np  # noqa: E402, I001
import typer  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from sklearn.datasets import load_sample_image  # noqa: E402

from tfgen import data, metrics, pictures, recipes  # noqa: E402
from tfgen.data.pairings import Grey, luminance  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

WIDTH, HEIGHT, PATCH = 384, 256, 64
# The part of each photograph that is held out begins where the one that is trained on ends, and is a quarter wide.
SEEN = {"validation": WIDTH // 2, "test": 3 * WIDTH // 4}
# Chosen on the part "validation", the third quarters, after training on the left halves.
SETTINGS = {"filters": 16, "critic_layers": 2, "dropout": 0.0, "jitter": 1.25, "learning_rate": 1e-3,
            "critic_learning_rate": 1e-3}
SHOWN = {"grey": "given", "luminance table": "mean by brightness", "pix2pix": "pix2pix"}


def photographs(names):
    """uint8 (N, HEIGHT, WIDTH, 3): photographs of the installed wheels, cropped to 3:2. Exit code 2 without scikit-image."""
    try:
        from skimage import data as samples
    except ImportError:
        print("error: expected scikit-image, received none: pip install 'tfgen[apps]'", file=sys.stderr)
        raise SystemExit(2) from None
    read = {"china": lambda: load_sample_image("china.jpg"), "flower": lambda: load_sample_image("flower.jpg"),
            "motorcycle": lambda: samples.stereo_motorcycle()[0]}
    loaded = (Image.fromarray(read[name]() if name in read else getattr(samples, name)()) for name in names)
    return np.stack([np.asarray(ImageOps.fit(image, (WIDTH, HEIGHT), Image.Resampling.LANCZOS)) for image in loaded])


def patches(images):
    """A Dataset of pairs, grey and coloured: every patch of uint8 (N, H, W, 3) at multiples of 8 pixels."""
    found = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), (1, 2))[:, ::8, ::8]
    found = np.moveaxis(found, 3, -1).reshape(-1, PATCH, PATCH, 3)
    spec = data.DataSpec("photographs", found.shape[1:], sizes={"train": len(found)}, view="paired",
                         source_shape=(PATCH, PATCH, 1))
    return data.Dataset(spec, {"train": (found, None)}, sources=Grey())


def chroma(images):
    """Colours less their luminance: a linear map of Cb and Cr. (N, H, W, 3) -> (N, H, W, 3)."""
    return images - luminance(images).numpy()


def table_of(images, grey, bins):
    """The mean chroma of the pixels of `images` that are as bright as each pixel of `grey`, brightness in `bins` steps."""
    def steps(brightness):
        return np.minimum(brightness[..., 0] * bins, bins - 1).astype(int)

    there, colours = steps(luminance(images).numpy()).ravel(), chroma(images).reshape(-1, 3)
    sums = np.stack([np.bincount(there, colours[:, c], bins) for c in range(3)], axis=1)
    return (sums / np.maximum(np.bincount(there, minlength=bins), 1)[:, None])[steps(grey)]


def translated(live, grey, stride=16):
    """The network's chroma for grey (N, H, W, 1): patches every `stride` pixels, blended by a Hann window."""
    window = np.hanning(PATCH + 2)[1:-1]
    window = np.outer(window, window)[..., None]
    total, weight = np.zeros((*grey.shape[:3], 3)), np.zeros((*grey.shape[1:3], 1))
    for top in range(0, grey.shape[1] - PATCH + 1, stride):
        for left in range(0, grey.shape[2] - PATCH + 1, stride):
            at = slice(top, top + PATCH), slice(left, left + PATCH)
            total[:, *at] += window * chroma(live("translate", grey[:, *at]))
            weight[at] += window
    return total / weight


def measure(made, images):
    """Similarity in RGB and the mean difference of colours that CIEDE2000 gives: 1 is just noticeable."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    return metrics.similarity(made, images) | {"delta_e": float(deltaE_ciede2000(rgb2lab(images), rgb2lab(made)).mean())}


def main(
    minutes: Annotated[float, typer.Option(help="CPU minutes of training")] = 6.0,
    part: Annotated[Literal["test", "validation"], typer.Option(help="held out: the right or the third quarters")] = "test",
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="two photographs and a second; no record is written")] = False,
):
    """Trains, colours the held-out parts, measures and draws; returns {method: its figures}."""
    names = ("china", "flower") if fast else ("china", "flower", "astronaut", "chelsea", "coffee", "motorcycle", "rocket")
    minutes, small = (0.001, {"filters": 4}) if fast else (minutes, {})
    out = out or (pathlib.Path("runs/colourise") if fast else records.RESULTS)
    pixels = photographs(names)
    seen, images = pixels[:, :, :SEEN[part]], pixels[:, :, SEEN[part]:SEEN[part] + WIDTH // 4].astype("float32") / 255.0
    model, cost = budget.train_for_budget(minutes, recipes.find("pix2pix"), patches(seen), 8, SETTINGS | small)
    seen, grey = seen.astype("float32") / 255.0, luminance(images).numpy()
    own = np.concatenate([table_of(seen[i:i + 1], grey[i:i + 1], 32) for i in range(len(seen))])
    colours = {"grey": np.zeros_like(images), "mean colour": table_of(seen, grey, 1),
               "luminance table": table_of(seen, grey, 32), "luminance table of the same photograph": own,
               "pix2pix": translated(Live(model), grey)}
    made = {name: np.clip(grey + found, 0.0, 1.0).astype("float32") for name, found in colours.items()}
    rows = {name: measure(found, images) for name, found in made.items()}
    for name, row in rows.items():
        print(f"{name:40}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    picture = out / "pictures" / "colourise.png"
    drawn = {f"{label}: ΔE {rows[name]['delta_e']:.1f}": made[name] for name, label in SHOWN.items()} | {"original": images}
    pictures.save_rows(picture, {label: shown.repeat(2, 1).repeat(2, 2) for label, shown in drawn.items()})
    if out == records.RESULTS and part == "test" and not fast:
        records.record(
            "colourise", {f"{key} {name}": rows[name][key] for key in ("delta_e", "l1", "psnr_db", "ssim") for name in rows},
            title=f"Colours of grey photographs, {minutes:g} CPU minutes: pix2pix on parts of them that it has not seen",
            command="python apps/colourise.py", budget={"cpu_minutes": minutes, "threads": 1} | cost, seeds=[0],
            data={"name": "photographs of scikit-learn and scikit-image", "photographs": names, "split": "right quarters",
                  "size": [HEIGHT, WIDTH]}, settings=SETTINGS, table=[{"method": name, **row} for name, row in rows.items()],
            picture=picture.name, published="none for these photographs; the colours of each brightness are the baseline")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)

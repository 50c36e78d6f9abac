"""Defects on surfaces: detectors that have seen normal brick, grass or gravel find scratches, stains and foreign pieces.

    python apps/surface_inspection.py                                       # about 16 CPU minutes of training
    python apps/surface_inspection.py --part validation --out runs/surface  # how the settings were chosen
    python apps/surface_inspection.py --fast                                # one texture and a few steps, seconds

Needs scikit-image (pip install 'tfgen[apps]'), which ships the three photographs. Each, 512x512, is cut in stripes. Crops of
64x64 for training come from the middle and both margins; between them, two stripes give held-out normal crops, which the
thresholds are calibrated on, and two the test's, with defects drawn on them. So the parts are alike, though light and
perspective change across a photograph. They are written to FOLDER/TEXTURE in MVTec AD's layout. Crops of a part overlap: a
stripe holds eight that do not, so the figures are of these surfaces alone.

The defects are drawn here; those that DRAEM trains on are drawn elsewhere (`tfgen.layers.Blemishes`) and differently, but
they are of the same kinds, which favours it over detectors that are told of none.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import functools  # noqa: E402
import pathlib  # noqa: E402
import sys  # noqa: E402
from typing import Annotated, Literal  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from tfgen import calibration, data, figures, heat, metrics, pictures, recipes, verbs  # noqa: E402

SIZE, SIDE, FPR = 512, 64, 0.05
STRIPES = {"train": ((0, 64), (192, 320), (448, 512)), "validation": ((64, 128), (384, 448)),
           "test": ((128, 192), (320, 384))}
# What a foreign piece is cut from: it must be seen on the texture.
FOREIGN = {"brick": ("grass", "gravel"), "grass": ("brick",), "gravel": ("brick",)}
# (settings that differ from the recipe's, steps), chosen on defects of another seed in the stripes of held-out crops.
DETECTORS = {
    "draem": ({"filters": 16, "levels": 3, "norm": "none", "flip": True, "learning_rate": 2e-3, "top": 0.01}, 8000),
    "region_anomaly": ({"filters": 16, "critic_layers": 2, "learning_rate": 1e-3, "blur": 2.0, "top": 0.04}, 700),
    "ae_anomaly": ({"filters": 16, "latent_dim": 128, "blur": 2.0, "top": 0.04}, 1000),
}
ROW, COLUMN = np.mgrid[:SIDE, :SIDE].astype(float)


@functools.cache
def photograph(texture):
    """float (SIZE, SIZE) in [0, 1]. Exit code 2 without scikit-image."""
    try:
        from skimage import data as samples
    except ImportError:
        print("error: expected scikit-image, received none: pip install 'tfgen[apps]'", file=sys.stderr)
        raise SystemExit(2) from None
    return getattr(samples, texture)() / 255.0


def crop(texture, part, random):
    """A crop (SIDE, SIDE) of a part of the photograph."""
    low, high = STRIPES[part][random.integers(len(STRIPES[part]))]
    top, left = random.integers(0, SIZE - SIDE + 1), random.integers(low, high - SIDE + 1)
    return photograph(texture)[top:top + SIDE, left:left + SIDE]


def turned(image, texture, random):
    """One of the eight ways to lay a square, of brick one of the four that leave its courses."""
    quarter = random.integers(2) if texture != "brick" else 0
    return np.rot90(image, quarter)[::random.choice((-1, 1)), ::random.choice((-1, 1))]


def scratch(image, texture, part, random):
    """A bow of 28 to 46 pixels, 2 to 4 wide, nearly white or black."""
    while True:
        start, angle, length = random.uniform(4, SIDE - 4, 2), random.uniform(0, 2 * np.pi), random.uniform(28, 46)
        along = np.array([np.sin(angle), np.cos(angle)])
        if np.all(np.abs(start + length * along - SIDE / 2) < SIDE / 2 - 4):
            break
    bend = random.uniform(-8, 8) * along[::-1] * (1, -1)
    t = np.linspace(0, 1, 200)[:, None]
    points = start + t * length * along + 2 * t * (1 - t) * bend
    away = np.min(np.hypot(ROW[..., None] - points[:, 0], COLUMN[..., None] - points[:, 1]), axis=-1)
    cover = np.clip(random.uniform(1.5, 2.2) - away, 0, 1)
    return image + random.uniform(0.75, 0.95) * cover * (random.choice((0.0, 1.0)) - image), cover > 0.25


def stain(image, texture, part, random):
    """A blotch with a soft edge, 7 to 12 pixels in radius, that darkens or brightens by 60 to 80 %."""
    (row, column), radius = random.uniform(14, SIDE - 14, 2), random.uniform(7, 12)
    angle = np.arctan2(ROW - row, COLUMN - column)
    radius *= 1 + sum(random.uniform(-0.2, 0.2) * np.cos(k * angle + random.uniform(0, 2 * np.pi)) for k in (2, 3))
    cover = 1 / (1 + np.exp((np.hypot(ROW - row, COLUMN - column) - radius) / 1.2))
    return image + random.uniform(0.6, 0.8) * cover * (random.choice((0.05, 0.9)) - image), cover > 0.25


def paste(image, texture, part, random):
    """A piece of another texture, 14 to 24 pixels a side, in another light."""
    height, width = random.integers(14, 25, 2)
    top, left = random.integers(3, SIDE - height - 3), random.integers(3, SIDE - width - 3)
    at, mask, image = np.s_[top:top + height, left:left + width], np.zeros((SIDE, SIDE), bool), image.copy()
    image[at] = random.choice((0.6, 1.6)) * crop(random.choice(FOREIGN[texture]), part, random)[:height, :width]
    mask[at] = True
    return image, mask


DEFECTS = {"scratch": scratch, "stain": stain, "paste": paste}


def write(folder, texture, part, seed, counts):
    """Writes a texture's folder in MVTec AD's layout: `counts` of normal crops for training, held out, in the test, and of
    each defect."""
    random = np.random.default_rng(seed)

    def save(name, image):
        pictures.save_image(folder / f"{name}.png", np.clip(image, 0, 1))

    for split, source, count in zip(("train", "validation", "test"), ("train", "validation", part), counts):
        for index in range(count):
            image = crop(texture, source, random)
            save(f"{split}/good/{index:04}", turned(image, texture, random) if split == "train" else image)
    for kind, draw in DEFECTS.items():
        for index in range(counts[3]):
            image, mask = draw(crop(texture, part, random), texture, part, random)
            save(f"test/{kind}/{index:04}", image)
            save(f"ground_truth/{kind}/{index:04}_mask", mask.astype(float))


def statistics(train):
    """The baseline, without a network: Mahalanobis distance of brightness and log contrast nearby. Images -> maps."""
    def features(images):
        means = [gaussian_filter(images[..., 0], (0, sigma, sigma)) for sigma in (1, 2, 4)]
        spreads = [np.log(gaussian_filter(np.square(images[..., 0] - mean), (0, 2, 2)) + 1e-4) for mean in means]
        return np.stack(means + spreads, axis=-1)

    usual = features(train).reshape(-1, 6)
    centre, precision = usual.mean(0), np.linalg.inv(np.cov(usual.T))
    return lambda images: np.einsum("nhwi,ij,nhwj->nhw", away := features(images) - centre, precision, away)


def judge(dataset, held_out, scores, maps):
    """Figures of a detector, given scores of held-out normal images, and scores and maps of the test's."""
    strange, masks = dataset.anomalous("test"), dataset.masks("test")
    found = metrics.detection(strange, scores, calibration.threshold(held_out, FPR))
    return {key: found[key] for key in ("auroc", "average_precision", "f1", "fpr", "recall", "threshold")} | {
        "pixel_auroc": metrics.pixel_auroc(masks, maps), "aupro": metrics.aupro(masks, maps, limit=0.3)} | {
        f"auroc {kind}": metrics.auroc(strange[at], scores[at]) for number, kind in enumerate(dataset.spec.class_names)
        if number for at in [np.isin(dataset.labels("test"), (0, number))]}


def main(
    part: Annotated[Literal["test", "validation"], typer.Option(help="what is measured; only test is recorded")] = "test",
    only: Annotated[str, typer.Option(help="detectors, commas between")] = ",".join(DETECTORS),
    textures: Annotated[str, typer.Option(help="textures, commas between")] = ",".join(FOREIGN),
    folder: Annotated[pathlib.Path, typer.Option(help="where the images are written")] = pathlib.Path("runs/surfaces"),
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="one texture and a few steps; no record is written")] = False,
):
    """Draws the defects, trains, measures and draws what is found; returns {texture: {method: its figures}}."""
    counts, seed = ((24, 20, 8, 4) if fast else (4000, 199, 100, 40)), {"validation": 1, "test": 2}[part]
    small = {"filters": 4, "levels": 1} if fast else {}
    out = out or (pathlib.Path("runs/surface_inspection") if fast else figures.RESULTS)
    table, costs, drawn = {}, [], {}
    for texture in ["brick"] if fast else textures.split(","):
        place = folder / f"{part}{'-fast' * fast}" / texture
        if not (place / "ground_truth/paste" / f"{counts[3] - 1:04}_mask.png").exists():
            write(place, texture, part, seed, counts)
        dataset = data.load(str(place))
        train, held_out, test = (dataset.images(split).astype("float32") / 255.0 for split in dataset.spec.sizes)
        maps_of = statistics(train)
        table[texture] = {"local statistics": judge(dataset, *(maps_of(x).max((1, 2)) for x in (held_out, test)),
                                                    maps_of(test))}
        for name in only.split(","):
            recipe, (settings, steps) = recipes.find(name), DETECTORS[name]
            space = recipe.hyperparameters(dataset.spec)
            steps = 20 if fast else steps
            settings = settings | {key: value for key, value in (small | {"total_steps": steps}).items() if key in space}
            model, cost = figures.trained_within(None, recipe, dataset, 16, settings, steps=steps)
            live = verbs.Live(model)
            scores, maps = live("score", test, 50), live("anomaly_map", test, 50)
            row = table[texture][name] = judge(dataset, live("score", held_out, 50), scores, maps)
            costs.append({"texture": texture, "method": name, **cost})
            if name == only.split(",")[0]:
                chosen = [np.flatnonzero(dataset.labels("test") == kind)[index] for kind in (1, 2, 3, 0) for index in (0, 1)]
                shown = maps[chosen]
                drawn |= {f"{texture}": test[chosen], f"{texture}: heat": heat.overlays(test[chosen], shown),
                          f"{texture}: defect": dataset.masks("test")[chosen][..., None].astype(float),
                          f"{texture}: found": (shown > row["threshold"])[..., None].astype(float)}
        for name, row in table[texture].items():
            print(f"{texture:8}{name:18}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    picture = out / "pictures" / "surface_inspection.png"
    pictures.save_rows(picture, {label: images.repeat(2, 1).repeat(2, 2) for label, images in drawn.items()})
    if out == figures.RESULTS and part == "test" and not fast:
        figures.record(
            "surface_inspection", {f"{key} {texture}, {name}": row[key] for texture, rows in table.items()
                                   for name, row in rows.items() for key in ("auroc", "aupro", "f1", "fpr")},
            title="Defects on brick, grass and gravel: found in images and in pixels (AUPRO, FPR limit 0.3)",
            command="python apps/surface_inspection.py", seeds=[0],
            budget={"threads": 1, "batch_size": 16, "trainings": costs},
            data={"name": "photographs of scikit-image", "split": "two stripes", "defects": list(DEFECTS), "seed": seed,
                  "train": counts[0], "held_out": counts[1], "normal": counts[2], "of_each_defect": counts[3],
                  "size": SIZE, "side": SIDE, "asked_fpr": FPR},
            settings={name: DETECTORS[name][0] for name in only.split(",")}, picture=picture.name,
            table=[{"texture": texture, "method": name, **row} for texture, rows in table.items()
                   for name, row in rows.items()],
            marks={"auroc": 0.95, "aupro": 0.80}, published="none for these surfaces; local statistics are the baseline")
    print(f"wrote {picture}")
    return table


if __name__ == "__main__":
    typer.run(main)

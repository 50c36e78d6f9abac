"""Defects on surfaces: detectors that have seen normal brick, grass or gravel find scratches, stains and foreign pieces.

    python apps/surface_inspection.py                     # 20 to 75 CPU minutes; an interrupted one goes on
    python apps/surface_inspection.py --part selection    # how the networks' settings were chosen
    python apps/surface_inspection.py --only padim        # one network and the baselines, into the record
    python apps/surface_inspection.py --fast              # one texture and a few steps, seconds

Needs scikit-image (pip install 'tfgen[apps]'), which ships the three photographs, one of each surface. 64x64 crops for
training come from two stripes of each, and overlap. The other columns are 48 cells of 64x64 that do not
(`tfgen.data.surfaces`): by 6 of them, the same for every seed, settings are chosen; a seed assigns the others at random,
26 to calibration, of which thresholds are, and 16 to the test, as they are and with defects drawn on them. So the scores of
calibration and test cells are exchangeable, however light and perspective change across a photograph and whatever
neighbouring cells have in common, and the number of false positives is beta-binomial
(`tfgen.detection.thresholds.observed`). The record says of each training whether its rate is within the 95 % interval. Each
seed draws cells, crops and defects and trains anew. Of other photographs of such surfaces the figures say nothing.

Every method, the baselines without a network, too, gives maps; how these are smoothed and pooled to scores is chosen for
each from one grid, by the mean of image AUROC and AUPRO over textures and seeds on the cells of selection. The networks'
other settings were chosen by hand on these, for one seed. Steps and CPU time of the methods differ; they are in the record.

The defects are drawn here; those that DRAEM trains on are drawn elsewhere (`tfgen.layers.Blemishes`) and differently, but
they are of the same kinds, which favours it over detectors that are told of none.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from typing import Annotated, Literal  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402
from scipy.stats import binomtest  # noqa: E402
from sklearn.neighbors import NearestNeighbors  # noqa: E402

from tfgen import catalogue, data, files, metrics, pictures, recipes  # noqa: E402
from tfgen.data import surfaces  # noqa: E402
from tfgen.detection import calibration, heat, thresholds  # noqa: E402
from tfgen.errors import UserError, require  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.layers import differences  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

FPR = 0.05
# (settings that differ from the recipe's, steps).
DETECTORS = {
    "draem": ({"filters": 16, "levels": 3, "norm": "none", "flip": True, "learning_rate": 2e-3}, 2500),
    "region_anomaly": ({"filters": 16, "critic_layers": 2, "learning_rate": 1e-3}, 150),
    "ae_anomaly": ({"filters": 16, "latent_dim": 128}, 500),
    "padim": ({"shared": True, "features": 1024, "network_share": 0.05}, 300),
}
# Of the maps, what every method's is chosen from: standard deviations of a blur in pixels, shares of the highest pixels.
BLURS, TOPS = (0.0, 1.0, 2.0, 4.0), (0.0, 0.01, 0.04, 0.16)
# Numbers of crops for training, of calibration's and test's normal cells, and of each defect.
COUNTS = (4000, 26, 16, 40)
KEYS = ("auroc", "aupro", "pixel_auroc", "f1", "fpr")


def features(images):
    """Brightness and log contrast nearby, at three scales each: images (N, H, W, 1) -> (N, H, W, 6)."""
    means = [gaussian_filter(images[..., 0], (0, sigma, sigma)) for sigma in (1, 2, 4)]
    spreads = [np.log(gaussian_filter(np.square(images[..., 0] - mean), (0, 2, 2)) + 1e-4) for mean in means]
    return np.stack(means + spreads, axis=-1)


def statistics(train):
    """Mahalanobis distance of `features`. Images -> maps."""
    usual = features(train).reshape(-1, 6)
    # A mean of many rows adds up in their own precision, unless told otherwise.
    centre, precision = usual.mean(0, dtype=float), np.linalg.inv(np.cov(usual.T))
    return lambda images: np.einsum("nhwi,ij,nhwj->nhw", away := features(images) - centre, precision, away)


def neighbours(train, memory=5000):
    """Mean distance to the three nearest of some normal pixels' `features`, each in standard deviations. Images -> maps."""
    usual = features(train).reshape(-1, 6)
    scale = usual.std(0, dtype=float)
    kept = usual[np.random.default_rng(0).choice(len(usual), min(memory, len(usual)), replace=False)] / scale
    fitted = NearestNeighbors(n_neighbors=3).fit(kept)
    return lambda images: fitted.kneighbors(features(images).reshape(-1, 6) / scale)[0].mean(1).reshape(images.shape[:3])


BASELINES = {"local statistics": statistics, "kNN of local statistics": neighbours}


def train(method, dataset, seed, fast):
    """Of a method: (images -> maps (N, H, W) and what a score holds beside them (N,); held-out images; budget)."""
    held = dataset.images("validation")
    if method in BASELINES:
        busy = time.process_time()
        maps_of = BASELINES[method](dataset.images("train").astype("float32") / 255.0)
        return (lambda x: (maps_of(x), np.zeros(len(x)))), held, {"cpu_minutes": round((time.process_time() - busy) / 60, 2)}
    recipe, (settings, steps) = recipes.find(method), DETECTORS[method]
    known, steps = catalogue.hyperparameters(method), 20 if fast else steps
    given = {"blur": 0.0, "top": 1.0} | ({"filters": 4, "levels": 1} if fast else {})
    settings = settings | {key: value for key, value in given.items() if key in known}
    keras.backend.clear_session()
    model, cost = budget.train_for_budget(None, recipe, dataset, 16, settings, seed, steps)
    calibration.calibrate(model, dataset)
    live = Live(model)

    def look(x):
        maps = live("anomaly_map", x, batch_size=50)
        return maps, live("score", x, batch_size=50) - maps.mean((1, 2))

    # What has settled the model's terms makes no threshold.
    return look, calibration.held_out(model, dataset)[1], cost


def seen(path, method, places, seed, fast, counts):
    """{"maps held_out", "rest held_out", "maps selection", …} of a training, and its budget; kept in a file, which is not
    taken for other settings or data."""
    about = {"settings": list(DETECTORS.get(method, ())), "fast": fast, "data": described(counts)}
    if path.exists() and files.read_json(path)["about"] == about:
        return dict(np.load(path.with_suffix(".npz"))), files.read_json(path)["budget"]
    sets = {part: data.load(str(place)) for part, place in places.items()}
    look, held, budget = train(method, sets["test"], seed, fast)
    looked_at, found = {part: of.images("test") for part, of in sets.items()}, {}
    for name, images in {"held_out": held, **looked_at}.items():
        found[f"maps {name}"], found[f"rest {name}"] = look(images.astype("float32") / 255.0)
    with files.written_aside(path.with_suffix(".npz")) as aside, open(aside, "wb") as file:
        np.savez(file, **found)
    files.write_json(path, {"about": about, "budget": budget})
    return found, budget


def pooled(found, name, blur, top):
    """(scores, smoothed maps) of what a method has seen."""
    maps = np.asarray(differences.blurred(found[f"maps {name}"].astype("float32"), blur))
    return np.asarray(differences.pooled(maps, top)) + found[f"rest {name}"], maps


def judge(dataset, held_out, scores, maps):
    """Figures of a detector, given scores of held-out normal images, and scores and maps of the test's."""
    strange, masks = dataset.anomalous("test"), dataset.masks("test")
    found = metrics.detection(strange, scores, thresholds.threshold(held_out, FPR))
    expected, low, high = thresholds.observed(len(held_out), found["normal"], FPR)
    rates = {"fpr_expected": expected, "fpr_low": low, "fpr_high": high, "fpr_within": low <= found["fpr"] <= high,
             "held_out": len(held_out), "normal": found["normal"]}
    return {key: found[key] for key in ("auroc", "average_precision", "f1", "fpr", "recall", "threshold")} | rates | {
        "pixel_auroc": metrics.pixel_auroc(masks, maps), "aupro": metrics.aupro(masks, maps, limit=0.3)} | {
        f"auroc {kind}": metrics.auroc(strange[at], scores[at]) for number, kind in enumerate(dataset.spec.class_names)
        if number for at in [np.isin(dataset.labels("test"), (0, number))]}


def choose(method, sights, sets):
    """(blur, top) of the best mean of image AUROC and AUPRO over textures and seeds, selection part, and all means."""
    found = {}
    for blur in BLURS:
        aupro = [metrics.aupro(of.masks("test"), pooled(sights[*key, method], "selection", blur, 1.0)[1], limit=0.3)
                 for key, of in sets.items()]
        for top in TOPS:
            auroc = [metrics.auroc(of.anomalous("test"), pooled(sights[*key, method], "selection", blur, top)[0])
                     for key, of in sets.items()]
            found[blur, top] = float(np.mean(auroc) + np.mean(aupro)) / 2
    return max(found, key=found.get), [{"blur": blur, "top": top, "worth": worth} for (blur, top), worth in found.items()]


def rates_of(rows):
    """Of rows of the record: false positive rates, and how often they are within the interval of each."""
    values = {"fpr within its interval": float(np.mean([row["fpr_within"] for row in rows]))}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        number = sum(row["normal"] for row in own)
        pooled = binomtest(round(sum(row["fpr"] * row["normal"] for row in own)), number)
        found = {"expected fpr": (own[0]["fpr_expected"], own[0]["fpr_low"], own[0]["fpr_high"]),
                 "pooled fpr": (pooled.statistic, *pooled.proportion_ci(0.95, method="exact"))}
        values |= {f"{key}, {method}{end}": float(value) for key, of in found.items()
                   for end, value in zip(("", "_min", "_max"), of, strict=True)}
        values[f"fpr within its interval, {method}"] = float(np.mean([row["fpr_within"] for row in own]))
    return values


def described(counts):
    """What the record says of its data, given the numbers of images that `surfaces.write` takes."""
    return {"name": "photographs of scikit-image", "photographs": "one of each surface",
            "split": "cells without overlap, at random for each surface", "defects": list(surfaces.DEFECTS),
            "train": counts[0], "selection": surfaces.PARTS["selection"], "calibration": counts[1], "normal": counts[2],
            "of_each_defect": counts[3], "size": surfaces.PHOTOGRAPH_PIXELS, "side": surfaces.CROP_PIXELS, "asked_fpr": FPR}


def named(methods, values):
    """The entries of {quantity: number} whose quantity is of one of the methods."""
    return {key: value for key, value in values.items()
            if re.search(rf", ({'|'.join(methods)})(, std|_min|_max)?$", key)}


def kept(methods, seeds):
    """The record's entries of networks that are not among the methods, with the same settings and data, in its form.

    Raises:
        UserError: if they have another number of seeds.
    """
    path = records.RESULTS / "surface_inspection.json"
    if not path.exists():
        return dict(values={}, table=[], settings={}, steps={}, minutes={}, trainings=[], chosen={}, tried={})
    record = files.read_json(path)
    steps, settings = record["budget"]["steps"], record["settings"]
    others = [name for name, about in DETECTORS.items()
              if name not in methods and (settings.get(name), steps.get(name)) == about
              and record["data"] == described(COUNTS)]
    require(not others or record["seeds"] == list(range(seeds)),
            f"expected --seeds {len(record['seeds'])} as the record has for {', '.join(others)}, received {seeds}: give "
            "that, or train them, too")

    def of(entries):
        return {name: entries[name] for name in others}
    return {"values": named(others, record["values"]) if others else {}, "settings": of(settings), "steps": of(steps),
            "table": [row for row in record["table"] if row["method"] in others],
            "minutes": of(record["budget"]["cpu_minutes_a_training"]), "chosen": of(record["pooling"]["chosen"]),
            "tried": of(record["pooling"]["tried"]),
            "trainings": [row for row in record["budget"]["trainings"] if row["method"] in others]}


def main(
    part: Annotated[Literal["test", "selection"], typer.Option(help="what is measured; only test is recorded")] = "test",
    only: Annotated[str, typer.Option(help="detectors, commas between")] = ",".join(DETECTORS),
    textures: Annotated[str, typer.Option(help="textures, commas between")] = ",".join(surfaces.FOREIGN),
    seeds: Annotated[int, typer.Option(help="how often cells, crops and defects are drawn and networks trained")] = 3,
    folder: Annotated[pathlib.Path, typer.Option(help="of images and what was seen")] = pathlib.Path("runs/surface_cells"),
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of pictures/; only results/ gets a record")] = None,
    fast: Annotated[bool, typer.Option(help="one texture and a few steps; no record is written")] = False,
):
    """Draws the defects, trains, measures and draws what is found; returns {texture: {method: [figures of each seed]}}."""
    counts = (24, 20, 8, 4) if fast else COUNTS
    seeds, textures = (1, ["brick"]) if fast else (seeds, textures.split(","))
    out = out or (pathlib.Path("runs/surface_inspection") if fast else records.RESULTS)
    methods = [*BASELINES, *only.split(",")]
    sights, sets, costs = {}, {}, []
    recording = out == records.RESULTS and part == "test" and not fast
    try:
        before = kept(methods, seeds) if recording else None
        surfaces.photograph(textures[0])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for texture, seed in ((texture, seed) for texture in textures for seed in range(seeds)):
        places = {name: folder / f"{name}{'-fast' * fast}" / f"{texture}-{seed}" for name in ("selection", "test")}
        for name, place in places.items():
            # Of the selection part's folder, only the test split is looked at.
            few = 8, 8, min(counts[2], surfaces.PARTS[name]), counts[3]
            surfaces.write(place, texture, name, seed, counts if name == "test" else few)
        sets[texture, seed] = {name: data.load(str(place)) for name, place in places.items()}
        for method in methods:
            stored = folder / "seen" / f"{method.replace(' ', '_')}-{texture}-{seed}{'-fast' * fast}.json"
            sights[texture, seed, method], budget = seen(stored, method, places, seed, fast, counts)
            costs.append({"texture": texture, "method": method, "seed": seed, **budget})
            print(f"{texture:8}{method:18}seed {seed}  {budget['cpu_minutes']} CPU minutes", flush=True)
    chosen, tried, table, drawn = {}, {}, {texture: {} for texture in textures}, {}
    for method in methods:
        chosen[method], tried[method] = choose(method, sights, {key: both["selection"] for key, both in sets.items()})
        blur, top = chosen[method]
        print(f"{method:18} blur {blur}, top {top}")
        for (texture, seed), both in sets.items():
            found = sights[texture, seed, method]
            scores, maps = pooled(found, part, blur, top)
            row = judge(both[part], pooled(found, "held_out", blur, top)[0], scores, maps)
            table[texture].setdefault(method, []).append(row)
            if seed == 0 and method == "draem":
                drawn |= example(texture, both[part], maps, row["threshold"])
    values = {f"{key} {texture}, {method}{end}": float(value([row[key] for row in rows]))
              for texture, of in table.items() for method, rows in of.items() for key in KEYS
              for end, value in (("", np.mean), (", std", lambda x: np.std(x, ddof=1))) if seeds > 1 or not end}
    for texture, method in ((texture, method) for texture in table for method in methods):
        print(f"{texture:8}{method:18}", "  ".join(f"{key} {values[f'{key} {texture}, {method}']:.3f}" for key in KEYS))
    picture, rows = out / "pictures" / "surface_inspection.png", [
        {"texture": texture, "method": method, "seed": seed, **row} for texture, of in table.items()
        for method, rows in of.items() for seed, row in enumerate(rows)]
    if drawn:
        pictures.save_rows(picture, {label: images.repeat(2, 1).repeat(2, 2) for label, images in drawn.items()})
    if recording:
        minutes = {method: round(float(np.mean([c["cpu_minutes"] for c in costs if c["method"] == method])), 2)
                   for method in methods}
        values |= {f"cpu_minutes a training, {method}": value for method, value in minutes.items()}
        networks = methods[len(BASELINES):]
        records.record(
            "surface_inspection", before["values"] | values | rates_of(before["table"] + rows),
            title="Defects on brick, grass and gravel: found in images and in pixels (AUPRO, FPR limit 0.3), "
            + (f"mean of {seeds} seeds and standard deviation" if seeds > 1 else "one seed"),
            command=f"python apps/surface_inspection.py --seeds {seeds}", seeds=list(range(seeds)),
            budget={"threads": 1, "batch_size": 16,
                    "steps": before["steps"] | {name: DETECTORS[name][1] for name in networks},
                    "cpu_minutes_a_training": before["minutes"] | minutes, "trainings": before["trainings"] + costs},
            data=described(counts),
            settings=before["settings"] | {name: DETECTORS[name][0] for name in networks}, picture=picture.name,
            pooling={"chosen": before["chosen"] | {name: dict(zip(("blur", "top"), pair)) for name, pair in chosen.items()},
                     "tried": before["tried"] | tried,
                     "by": "mean of image AUROC and AUPRO over textures and seeds, selection part"},
            table=before["table"] + rows, marks={"auroc": 0.95, "aupro": 0.80, "fpr within its interval": 0.9},
            missed=dict.fromkeys([f"{key} {texture}, draem" for key in ("auroc", "aupro") for texture in surfaces.FOREIGN],
                                 "the target was set for trainings of 8,000 steps, on twice as much of each photograph"),
            published="none for these surfaces; local statistics are the baseline, and their nearest neighbours")
    print(f"wrote {picture}")
    return table


def example(texture, dataset, maps, threshold):
    """Rows of the picture: two images of each defect and two normal ones, heat, masks and pixels over the threshold."""
    chosen = [np.flatnonzero(dataset.labels("test") == kind)[index] for kind in (1, 2, 3, 0) for index in (0, 1)]
    images, shown = dataset.images("test")[chosen].astype("float32") / 255.0, maps[chosen]
    return {texture: images, f"{texture}: heat": heat.overlays(images, shown),
            f"{texture}: defect": dataset.masks("test")[chosen][..., None].astype(float),
            f"{texture}: found": (shown > threshold)[..., None].astype(float)}


if __name__ == "__main__":
    typer.run(main)

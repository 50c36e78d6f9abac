"""Anomaly report of a folder of images: a table of scores, heat maps of the most anomalous images and an HTML page."""

import csv
import html
import os
import pathlib
import string
import tempfile
from typing import NamedTuple

import numpy as np

from tfgen import pictures
from tfgen.data.readers.image_files import decode
from tfgen.data.readers.resize import resize
from tfgen.detection import heat
from tfgen.errors import UserError
from tfgen.files import written_aside
from tfgen.serving import folders

PICTURE_PIXELS = 256  # approximate longer side of a picture in pixels
NOT_CALIBRATED = "not calibrated: tfgen export --fpr … gives a model its threshold"


class Report(NamedTuple):
    """Result of `write`.

    Attributes:
        scored: number of scored images.
        anomalous: number of images classified as anomalous.
        unreadable: one line per unreadable file.
        threshold: images with a higher score are classified as anomalous; inf for a model that is not calibrated.
    """

    scored: int
    anomalous: int
    unreadable: list
    threshold: float


def write(live, folder, out, threshold=None, top=100):
    """Scores every image of a folder and writes scores.csv, overlays/*.png and index.html.

    Memory grows with `top`, not with the number of images. An existing report in `out` is replaced.

    Args:
        live: `verbs.live.Live`, `serving.saved_model.Served` or `detection.Tiled`, with `score`; with `anomaly_map`,
            pictures have heat maps.
        folder: a folder of images, searched with its subfolders, or an image file.
        out: output folder, which must not contain `folder`; created if necessary.
        threshold: images with a higher score are classified as anomalous; None uses the model's threshold.
        top: number of images on the page, most anomalous first; scores.csv lists all images.

    Returns:
        A `Report`.

    Raises:
        UserError: a model without the verb, no readable images, non-finite scores or threshold, or `folder` inside
            `out`.
    """
    folder, out = pathlib.Path(folder), pathlib.Path(out)
    if "score" not in live.names:
        raise UserError(f"this model cannot score; it has {', '.join(live.names)}")
    if threshold is not None and not np.isfinite(threshold):
        raise UserError(f"threshold expects a finite number, received {threshold}: leave it out for the model's own")
    if top < 1:
        raise UserError(f"top expects at least 1, received {top}")
    root = folders.root(folder)
    if root.resolve().is_relative_to(out.resolve()):
        raise UserError(f"expected another folder than the images' for --out, received {str(out)!r}: give a new one")
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder for --out, received the file {str(out)!r}: give another name")
    unreadable = []
    paths, scores, threshold = _scored(live, folders.found(folder, without=out), threshold, unreadable)
    order = np.argsort(-scores, kind="stable")
    rows = [(paths[i], paths[i].relative_to(root).as_posix(), scores[i], bool(scores[i] > threshold)) for i in order]
    report = Report(len(rows), sum(called for *_, called in rows), unreadable, threshold)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as aside:
        scale = _draw(live, rows[:top], pathlib.Path(aside))
        # The page is removed first and written last, so that it never shows pictures of another report.
        (out / "index.html").unlink(missing_ok=True)
        _replace_pictures(pathlib.Path(aside), out / "overlays")
    _write_table(out / "scores.csv", rows, threshold)
    with written_aside(out / "index.html") as page:
        page.write_text(_page(folder, rows[:top], report, scale), "utf-8", "replace")
    return report


def _scored(live, paths, threshold, unreadable):
    """(readable paths, float64 scores, threshold: the given one or the model's)."""
    kept, scores = [], []
    for names, images, _ in folders.batches(paths, live.image_shape, unreadable, live.resize):
        if threshold is None:
            outputs = live.outputs("score", images)
            values, own = outputs["score"], float(outputs["threshold"][0])
        else:
            values, own = live("score", images), float(threshold)
        if not np.all(np.isfinite(values)):
            raise UserError(f"expected finite scores, received {values[~np.isfinite(values)][0]} for "
                            f"{str(names[np.argmin(np.isfinite(values))])!r}: the model has diverged, use an earlier one")
        kept += names
        scores.append(values)
    if not kept:
        raise UserError(f"expected images that can be read, all {len(unreadable)} cannot: {unreadable[0]}")
    return kept, np.concatenate(scores).astype(np.float64), own


def picture_name(rank):
    """File name of a picture; the most anomalous image has rank 1."""
    return f"rank-{rank:05d}.png"


def _draw(live, rows, folder):
    """Writes one picture per row; returns the heat scale (begins, full), or None for a model without maps."""
    if "anomaly_map" not in live.names:
        for rank, (path, *_) in enumerate(rows, 1):
            pictures.save_image(folder / picture_name(rank), _comfortable(decode(path, live.image_shape[2])))
        return None
    lost = []
    paths = [path for path, *_ in rows]
    maps = [one for _, images, _ in folders.batches(paths, live.image_shape, lost, live.resize)
            for one in live("anomaly_map", images)]
    if lost:
        raise UserError(f"the images changed while they were scored: {lost[0]}")
    scale = heat.scale(maps, np.array([called for *_, called in rows]))
    for rank, ((path, *_), one) in enumerate(zip(rows, maps), 1):
        image = _comfortable(decode(path, live.image_shape[2])).astype(np.float32) / 255.0
        pair = np.stack([np.broadcast_to(image, (*image.shape[:2], 3)), heat.overlay(image, one, *scale, live.resize)])
        pictures.save_image(folder / picture_name(rank), pictures.grid(pair, columns=2, padding=2, scale=1))
    return scale


def _comfortable(pixels):
    """Enlarges uint8 (H, W, C) by a whole factor, or reduces it, to about PICTURE_PIXELS pixels."""
    height, width, _ = pixels.shape
    longest = max(height, width)
    if longest <= PICTURE_PIXELS:
        return pixels.repeat(PICTURE_PIXELS // longest, 0).repeat(PICTURE_PIXELS // longest, 1)
    return resize(pixels, tuple(max(1, round(side * PICTURE_PIXELS / longest)) for side in (height, width)))


def _replace_pictures(aside, folder):
    """Replaces the pictures of an earlier report in `folder` by those in `aside`."""
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("rank-*.png"):
        earlier.unlink()
    for path in aside.iterdir():
        os.replace(path, folder / path.name)


def _write_table(path, rows, threshold):
    # File names may contain bytes that are not valid UTF-8.
    with written_aside(path) as aside, open(aside, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["file", "score", "threshold", "is_anomaly"])
        table.writerows([name, f"{score:.9g}", f"{threshold:.9g}", called] for _, name, score, called in rows)


PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { margin: 2rem auto; max-width: 1240px; padding: 0 1rem; background: #fafafa; color: #222; font: 15px/1.45 sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.about { color: #555; max-width: 60rem; }
.bar { display: inline-block; width: 9rem; height: .8rem; margin: 0 .4rem; vertical-align: -.08rem; border: 1px solid #ccc; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(${width}px, 1fr)); gap: 1rem; }
.card { margin: 0; padding: .8rem; background: #fff; border: 1px solid #ddd; border-radius: 6px; }
.card img { display: block; max-width: 100%; margin: 0 auto .6rem; }
.card figcaption { display: flex; gap: .6rem; align-items: baseline; }
.name { flex: 1; overflow-wrap: anywhere; }
.anomalous { color: #b3261e; font-weight: bold; }
.normal { color: #2e6b34; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$summary</p>
<p class="about">$about</p>
$heat
<h2>The most anomalous first: rank, file, score</h2>
<div class="cards">
$cards
</div>
$unreadable
</body>
</html>
""")


def _page(folder, rows, report, scale):
    """The HTML page as a string."""
    calibrated = np.isfinite(report.threshold)
    summary = (f"Images scored: {report.scored}. <b>Called anomalous: {report.anomalous}.</b> "
               f"Unreadable files: {len(report.unreadable)}. "
               + (f"Threshold: {report.threshold:.4g}; an image is called anomalous where its score is higher."
                  if calibrated else f"The model is {NOT_CALIBRATED}."))
    about = ("All images are below and in" if report.scored == len(rows) else
             f"The {len(rows)} most anomalous are below, all {report.scored} in") + ' <a href="scores.csv">scores.csv</a>.'
    return PAGE.substitute(
        title=html.escape(f"Anomaly scores of {folder.resolve().name}"), summary=summary, about=about,
        heat=_heat_words(scale) if scale else "", width=PICTURE_PIXELS + 30 if scale is None else 360,
        cards="\n".join(_card(rank, *row, calibrated) for rank, row in enumerate(rows, 1)),
        unreadable="\n".join(["<h2>Unreadable files</h2>", "<ul>", *(f"<li>{html.escape(line)}</li>"
                                                                     for line in report.unreadable), "</ul>"]
                             if report.unreadable else []))


def _heat_words(scale):
    begins, full = scale
    stops = ", ".join(f"rgba({', '.join(f'{255 * c:.0f}' for c in heat.COLOURS(share)[:3])}, {heat.OPACITY * share:.2f})"
                      for share in np.linspace(0.0, 1.0, 11))
    return (f'<p class="about">To the right of each image: the same in grey under its heat map: {begins:.3g} '
            f'<span class="bar" style="background: linear-gradient(90deg, {stops})"></span> {full:.3g}, one scale for all. '
            "It begins at the median pixel of the less anomalous half of the images below and ends at the median peak "
            "of those classified as anomalous (without any, at the highest peak).</p>")


def _card(rank, path, name, score, called, calibrated):
    verdict = ("anomalous" if called else "normal") if calibrated else ""
    name = html.escape(name)
    return (f'<figure class="card"><img src="overlays/{picture_name(rank)}" alt="{name}" loading="lazy">'
            f'<figcaption><b>{rank}</b><span class="name">{name}</span><span>{score:.4g}</span>'
            f'<span class="{verdict}">{verdict}</span></figcaption></figure>')

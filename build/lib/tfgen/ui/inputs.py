"""Required inputs of verbs as components of the page, by their kind."""

import random

import gradio as gr
import numpy as np

from tfgen import seeds
from tfgen.errors import UserError
from tfgen.ui import looks
from tfgen.ui.chooser import chooser
from tfgen.ui.controls import Control

IMAGES, ROWS = 24, 3  # samples of a sheet; rows of classes
VARIATIONS = 4  # of one image
SHEET = 64


def of_seeds(model, verb):
    """A seed and a number of images; the seeds of `tfgen sample --seed`."""
    seed = gr.Number(0, label="Seed", info="The same seed gives the same images", precision=0, minimum=0)
    count = gr.Slider(1, SHEET, _first_count(model, verb), step=1, label="Images")
    gr.Button("New seed", size="sm").click(lambda: random.randrange(2**31), None, seed, api_visibility="private")
    return Control([seed, count], lambda seed, count: seeds.of_samples(int(seed or 0), int(count)))


def classes_of(model, verb):
    """Number of classes that a verb gives to successive images, 0 if it takes none in turn."""
    label = model.live.options[verb.name].get("label")
    return label.high - label.low + 1 if label is not None and label.default is None and len(verb.inputs) == 1 else 0


def _first_count(model, verb):
    if len(verb.inputs) > 1:
        return VARIATIONS
    classes = classes_of(model, verb)
    return ROWS * classes if 0 < classes <= looks.MOST_COLUMNS else IMAGES


def of_pictures(kind):
    return lambda model, verb: chooser(model, kind)


def of_labels(model, verb):
    names = model.live.class_names
    if names:
        chosen = gr.Dropdown([(name, index) for index, name in enumerate(names)], value=0, label="Class")
    else:
        chosen = gr.Number(0, label="Class", precision=0, minimum=0)
    return Control([chosen], lambda label: np.array([label], np.int64))


def of_tokens(model, verb):
    text = gr.Textbox("0", label="Tokens", info="Whole numbers, separated by spaces")

    def read(text):
        try:
            return np.array([[int(one) for one in text.split()]], np.int64)
        except ValueError:
            raise UserError(f"Tokens expects whole numbers separated by spaces, received {text[:100]!r}") from None

    return Control([text], read)


def of_coordinates(model, verb):
    """A window of the field's first two coordinates (of one: an interval), sampled as finely as is asked; others fixed."""
    axes = model.live.coordinate_shape[1]
    zoom = gr.Slider(1, 20, 1, step=0.1, label="Zoom")
    finer = gr.Slider(1, 4, 1, step=1, label="Samples per pixel of the signal, along each axis")
    names = ["Vertical", "Horizontal"] if axes == 2 else [f"Coordinate {axis + 1}" for axis in range(axes)]
    centre = [gr.Slider(-1, 1, 0, step=0.01, label=name, info="Of the centre") for name in names]

    def read(zoom, finer, *centre):
        sides = [int(side * finer) for side in plane_of(model.live)]
        grids = [middle + np.linspace(-1, 1, side) / zoom for middle, side in zip(centre, sides)]
        rest = [np.array([value]) for value in centre[len(sides):]]
        return np.stack(np.meshgrid(*grids, *rest, indexing="ij"), -1).reshape(1, -1, axes).astype(np.float32)

    return Control([zoom, finer, *centre], read)


def plane_of(live):
    """Sides of the picture of a field: those of its signal, at most two."""
    return live.image_shape[:-1][:min(2, live.coordinate_shape[1])]


def of_poses(model, verb):
    """A camera that looks at the origin."""
    around = gr.Slider(0, 360, 30, step=1, label="Around", info="Degrees about the vertical axis")
    above = gr.Slider(-89, 89, 30, step=1, label="Above", info="Degrees above the horizon")
    away = gr.Slider(0.5, 10, 4, step=0.1, label="Distance")
    return Control([around, above, away],
                   lambda around, above, away: camera(np.radians(around), np.radians(above), away)[None])


def camera(around, above, away):
    """Pose, float32 (4, 4), camera to world, of a camera that looks at the origin; z points upwards, angles in radians."""
    back = np.array([np.cos(above) * np.cos(around), np.cos(above) * np.sin(around), np.sin(above)])
    right = np.array([-np.sin(around), np.cos(around), 0.0])
    pose = np.eye(4, dtype=np.float32)
    pose[:3] = np.stack([right, np.cross(back, right), back, away * back], axis=1)
    return pose


OF_KIND = {"seeds": of_seeds, "images": of_pictures("images"), "sources": of_pictures("sources"), "labels": of_labels,
           "tokens": of_tokens, "coordinates": of_coordinates, "poses": of_poses}


def rows_of(parts):
    """Inputs with as many rows each: single rows are repeated."""
    most = max(len(part) for part in parts)
    return [np.repeat(part, most, axis=0) if len(part) == 1 else part for part in parts]

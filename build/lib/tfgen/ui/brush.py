"""Tabs with a brush: completion of what is painted over, and reconstruction of spoiled images."""

import gradio as gr
import numpy as np

from tfgen.ui import inputs, looks
from tfgen.ui.canvas import canvas, covered
from tfgen.ui.chooser import chooser, one
from tfgen.ui.controls import components_of, of_options, read_options, title_of
from tfgen.ui.outputs import picture
from tfgen.ui.wiring import show

PAINT, BRUSH = "#d03050", 28
# {name: function of rows and columns (H, W) and the shape of an image -> bool (H, W)}
HIDDEN = {"nothing": lambda row, column, shape: row < 0,
          "the lower half": lambda row, column, shape: row >= shape[0] // 2,
          "the right half": lambda row, column, shape: column >= shape[1] // 2,
          "every other pixel": lambda row, column, shape: (row + column) % 2 == 1,
          "everything": lambda row, column, shape: row >= 0}
ERASED = 0.5  # grey, as `inpainting` learns it


def completing(model, verb, opened):
    """Fills the tab of a verb with masks: hidden and painted pixels are drawn anew; see `general.tab`."""
    shape = model.live.image_shape
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            control = chooser(model, "images")
            hidden = gr.Dropdown(list(HIDDEN), value="the lower half", label="Hidden", info="Beside what is painted over")
            seeds = inputs.of_seeds(model, verb)
            options = of_options(model, verb, control.label)
            chosen, = control.components
        with gr.Column(scale=2, min_width=400):
            strokes = canvas(chosen, "Paint over what is to be drawn anew", [PAINT], BRUSH, shape)
        with gr.Column(scale=2, min_width=320):
            image = picture(title_of(verb.name))

    def answer(chosen, hidden, strokes, seed, count, *values):
        known = ~(HIDDEN[hidden](*np.indices(shape[:2]), shape) | covered(strokes, shape))
        given = {"images": one(chosen), "masks": known[None].astype(np.float32), "seeds": seeds.read(seed, count)}
        rows = inputs.rows_of([given[field.kind] for field in verb.inputs])
        return [looks.sheet(model(verb.name, *rows, **read_options(options, values)), widest=560)]

    show(model, opened, answer, [chosen, hidden, strokes, *seeds.components, *components_of(options)], [image])


def spoiling(model, verb, opened):
    """Fills the tab of a verb that reconstructs images: from noise and from what is painted over; see `general.tab`."""
    shape = model.live.image_shape
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            control = chooser(model, "images")
            noise = gr.Slider(0, 1, 0, step=0.01, label="Noise", info="Standard deviation of what is added to the picture")
            options = of_options(model, verb, control.label)
            chosen, = control.components
        with gr.Column(scale=2, min_width=400):
            strokes = canvas(chosen, "Paint over what is to be grey", [PAINT], BRUSH, shape)
        with gr.Column(scale=2, min_width=320):
            given = picture("Given", height=300)
            image = picture("Reconstruction", height=300)

    def answer(chosen, strokes, noise, *values):
        x = spoiled(one(chosen)[0], covered(strokes, shape), noise)
        made = model(verb.name, x[None], **read_options(options, values))[0]
        return [looks.single(x), looks.single(made)]

    show(model, opened, answer, [chosen, strokes, noise, *components_of(options)], [given, image])


def spoiled(image, erased, noise):
    """An image (H, W, C) with grey pixels where `erased` (H, W), and Gaussian noise elsewhere."""
    drawn = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    return np.where(erased[..., None], np.float32(ERASED), image + np.float32(noise) * drawn)


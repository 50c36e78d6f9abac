"""The sketch pad: a source that is drawn, chosen or uploaded becomes an image as one draws."""

import gradio as gr
import numpy as np

from tfgen.data import pairings
from tfgen.ui import looks
from tfgen.ui.canvas import PIXELS, canvas
from tfgen.ui.chooser import chooser, one
from tfgen.ui.controls import components_of, of_options, read_options, title_of
from tfgen.ui.outputs import picture
from tfgen.ui.wiring import listen, show


def tab(model, verb, opened):
    """Fills the tab of a verb that translates sources; see `general.tab`."""
    shape, lines = model.live.source_shape, pairing_of(model) == "edges"
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            chosen, = chooser(model, "sources", pairing_of(model)).components
            blank = gr.Button("Blank sheet", size="sm")
            options = of_options(model, verb)
        with gr.Column(scale=2, min_width=400):
            strokes = canvas(chosen, "Draw lines" if lines else "Draw on the picture", *brush_of(shape, lines), shape)
        with gr.Column(scale=2, min_width=400):
            image = picture(title_of(verb.name))

    def answer(chosen, strokes, *values):
        x = drawn_on(one(chosen)[0], strokes, lines)
        return [looks.single(model(verb.name, x[None], **read_options(options, values))[0], PIXELS)]

    listen(blank.click, lambda: np.full(shape, 0.0 if lines else 1.0, np.float32), None, [chosen])
    components = components_of(options)
    show(model, opened, answer, [chosen, strokes, *components], [image])


def pairing_of(model):
    """Name of what computes a source from an image ("edges"), or None where sources are images of their own."""
    name = str(model.about.get("data", {}).get("pairs") or "")
    return None if not name or name in pairings.SIDE_BY_SIDE else name


def brush_of(shape, lines):
    """(inks, width): about as wide as a pixel of the model for lines, else wider and of several colours."""
    width = looks.enlargement(shape, PIXELS)
    if lines:
        return ("#ffffff", "#000000"), width
    grey = ("#000000", "#808080", "#ffffff")
    return grey if shape[2] == 1 else ("#000000", "#ffffff", "#c03030", "#309040", "#3050c0", "#c0a030"), 2 * width


def drawn_on(picture, strokes, lines):
    """A source (H, W, C) under strokes (H, W, 4); lines are white or black, as the edges that the model was trained on."""
    if strokes is None:
        return picture
    colour, opacity = strokes[..., :3], strokes[..., 3:]
    if picture.shape[-1] == 1:
        colour = colour @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if lines:
        opacity, colour = opacity >= 0.4, colour >= 0.5
    return (picture * (1.0 - opacity) + colour * opacity).astype(np.float32)

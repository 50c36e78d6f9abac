"""Outputs of verbs as components of the page, by their kind: components, and what they show."""

import dataclasses
from collections.abc import Callable

import gradio as gr
import numpy as np

from tfgen.pictures import plots
from tfgen.ui import looks
from tfgen.ui.controls import title_of
from tfgen.ui.inputs import classes_of, plane_of


@dataclasses.dataclass(frozen=True)
class Output:
    """Components, and how a verb's result becomes their values.

    Attributes:
        components: list of components.
        draw: function (inputs of the verb, all its outputs) -> list of their values.
    """

    components: list
    draw: Callable


def picture(label, **settings):
    """A component that shows a picture."""
    return gr.Image(label=label, format="png", interactive=False, buttons=["download", "fullscreen"],
                    elem_classes="picture", **settings)


def of_images(model, verb):
    """A sheet of the images; beside it the one image that they were made from, if there was one."""
    given = next((index for index, field in enumerate(verb.inputs) if field.kind in ("images", "sources")), None)
    if given is None:
        return Output([picture("Images")], lambda inputs, made: [looks.sheet(
            made[verb.output.name], columns_of(model, verb, len(made[verb.output.name])))])
    with gr.Row():
        components = [picture("Given"), picture(title_of(verb.name))]

    def draw(inputs, made):
        images = made[verb.output.name]
        return [looks.single(inputs[given][0]), looks.single(images[0]) if len(images) == 1 else
                looks.sheet(images, widest=looks.WIDEST // 2)]

    return Output(components, draw)


def columns_of(model, verb, count):
    """One column per class of a model whose labels are given in turn; None chooses."""
    classes = classes_of(model, verb)
    return classes if 0 < classes <= min(count, looks.MOST_COLUMNS) else None


def of_latents(model, verb):
    """Latents as bars or, if they lie on a grid, as a picture; codes in colours."""
    def draw(inputs, made):
        latents = made[verb.output.name][0]
        if np.issubdtype(latents.dtype, np.integer):
            return [looks.single(inputs[0][0]), looks.codes(looks.on_grid(latents))]
        return [looks.single(inputs[0][0]),
                looks.bars(latents, "latent dimension") if latents.ndim == 1 else looks.numbers(latents)]

    with gr.Row():
        return Output([picture("Given", scale=2), picture("Latents", scale=3)], draw)


def of_values(model, verb):
    """The chosen image and all examples, the highest value first."""
    with gr.Row():
        gallery = gr.Gallery(label=f"{title_of(verb.name)}, highest first", columns=6, height="auto", allow_preview=False,
                             object_fit="contain", format="png", buttons=[], interactive=False, elem_classes="ranked")
    says = gr.Markdown()

    def draw(inputs, made):
        values, threshold = made[verb.output.name], made.get("threshold")
        order = np.argsort(-values)
        line = f"The chosen picture (*): **{values[0]:.5g}**"
        if threshold is not None:
            line += f", {'above' if values[0] > threshold[0] else 'not above'} the threshold of {threshold[0]:.5g}"
        return [[(looks.thumbnail(inputs[0][row]), f"{values[row]:.4g}{'' if row else ' *'}") for row in order], line]

    return Output([gallery, says], draw)


def of_signals(model, verb):
    """Values at coordinates as a picture, or as a curve of one coordinate."""
    shown = picture("Signal")

    def draw(inputs, made):
        values, sides = made[verb.output.name][0], plane_of(model.live)
        if len(sides) == 1:
            figure = plots.new_figure(8.8, 3.6)
            axes = figure.add_subplot()
            axes.plot(inputs[0][0, :, 0], values, linewidth=1)
            axes.set_xlabel("coordinate")
            return [looks.drawn(figure)]
        finer = round((len(values) / (sides[0] * sides[1])) ** 0.5)
        return [looks.single(values.reshape(sides[0] * finer, sides[1] * finer, -1).clip(0.0, 1.0), 560)]

    return Output([shown], draw)


OF_KIND = {"images": of_images, "sources": of_images, "latents": of_latents, "values": of_values, "signals": of_signals}

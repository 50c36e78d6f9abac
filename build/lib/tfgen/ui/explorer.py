"""The latent explorer: sliders along the axes of a latent space, and a strip from one seed to another."""

import gradio as gr

from tfgen.ui import looks
from tfgen.ui.chooser import chooser
from tfgen.ui.controls import components_of, of_options, read_options
from tfgen.ui.outputs import picture
from tfgen.ui.space import AXES, Space
from tfgen.ui.wiring import show

STEPS, REACH = 8, 3.0  # images of the strip, units to either side


def tab(model, verb, opened):
    """Fills the tab of a verb that decodes latents of numbers; see `general.tab`."""
    space = Space(model)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            start, start_of, label = _start(model, space)
            sliders = [gr.Slider(-REACH, REACH, 0, step=0.05, label=f"{space.axis_name} {axis + 1}")
                       for axis in range(min(AXES, space.size))]
            options = of_options(model, verb, label)
        with gr.Column(scale=3, min_width=420):
            image = picture("Decoded", height=400)
            with gr.Row():
                ends = [gr.Number(seed, label=label, precision=0, minimum=0)
                        for label, seed in (("From seed", 0), ("To seed", 1))]
            strip = picture("Interpolation")
    moves, chosen = len(sliders), components_of(options)

    def decoded(start, *values):
        given = read_options(options, values[moves:])
        latent = space.moved(start_of(start, given), values[:moves])
        return [looks.single(model(verb.name, latent[None], **given)[0])]

    def between(first, last, *values):
        latents = space.way(*space.of_seeds([int(first or 0), int(last or 0)]), STEPS)
        return [looks.sheet(model(verb.name, latents, **read_options(options, values)), STEPS)]

    show(model, opened, decoded, [start, *sliders, *chosen], [image])
    show(model, opened, between, [*ends, *chosen], [strip])


def _start(model, space):
    """(component, function of its value and the options -> latent, `Control.label`) of where the sliders move from."""
    if space.encodes:
        control = chooser(model, "images")
        return (control.components[0], lambda picture, given: space.encode(control.read(picture), given)[0],
                control.label)
    seed = gr.Number(0, label="Seed", info="The latent from which the sliders move", precision=0, minimum=0)
    return seed, lambda seed, given: space.of_seeds([int(seed or 0)])[0], None

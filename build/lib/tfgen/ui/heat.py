"""Heat maps with a threshold slider."""

import gradio as gr
import numpy as np

from tfgen.detection.heat import overlay
from tfgen.ui import looks
from tfgen.ui.chooser import chooser, one
from tfgen.ui.controls import components_of, of_options, read_options
from tfgen.ui.outputs import picture
from tfgen.ui.wiring import listen, once

BEGINS = 0.9  # share of the examples' pixels below the first threshold


def tab(model, verb, opened):
    """Fills the tab of a verb that gives maps of images; see `general.tab`."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            control = chooser(model, "images")
            threshold = gr.Slider(0, 1, 0.5, step=0.001, label="Threshold",
                                  info="Pixels with a higher value are coloured, up to the highest of the examples")
            options = of_options(model, verb, control.label)
        with gr.Column(scale=3, min_width=420):
            with gr.Row():
                given, heat = picture("Given"), picture("Pixels above the threshold")
            says = gr.Markdown()
    components = components_of(options)
    # The map of the picture, and the highest value of all examples.
    found = gr.State(None)

    def first(*values):
        examples = model.images()[0]
        maps = model(verb.name, examples, **read_options(options, values)) if len(examples) else np.zeros((1, 1, 1))
        highest = rounded(max(float(maps.max()), 1e-6))
        return highest, gr.Slider(maximum=highest, step=rounded(highest / 200), value=rounded(np.quantile(maps, BEGINS)))

    def measured(picture, highest, *values):
        x = one(picture)
        return {"map": model(verb.name, x, **read_options(options, values))[0], "image": x[0], "highest": highest,
                "line": verdict(model, x)}

    def draw(found, threshold):
        if found is None:
            return [gr.skip()] * 3
        image, heat = found["image"], found["map"]
        above = float(np.mean(heat > threshold))
        return [looks.single(image), looks.single(coloured(image, heat, threshold, found["highest"])),
                f"**{above:.1%}** of the pixels are above {threshold:.4g}; the highest is {heat.max():.4g}. {found['line']}"]

    highest = gr.State(None)
    once(model, opened, first, components, [highest, threshold])
    listen([highest.change, control.components[0].change, *(one.change for one in components)], measured,
           [*control.components, highest, *components], [found], model)
    listen([found.change, threshold.change], draw, [found, threshold], [given, heat, says])


def coloured(image, heat, threshold, highest):
    """An image (H, W, C) whose pixels above a threshold are coloured, those at `highest` in full red."""
    full = max(highest, threshold + 1e-6)
    # Pixels just above the threshold are seen, too.
    begins = threshold - 0.5 * (full - threshold)
    return overlay(image, np.where(heat > threshold, heat, begins), begins, full)


def rounded(value):
    """A number of three digits."""
    return float(f"{value:.3g}")


def verdict(model, x):
    """What the model's score says of an image (1, H, W, C), or nothing."""
    if "score" not in model.live.names:
        return ""
    made = model.outputs("score", x)
    if not np.isfinite(made["threshold"][0]):
        return f"Score {made['score'][0]:.4g}."
    return (f"Score {made['score'][0]:.4g}, {'above' if made['is_anomaly'][0] else 'not above'} the threshold "
            f"{made['threshold'][0]:.4g}: {'anomalous' if made['is_anomaly'][0] else 'normal'}.")


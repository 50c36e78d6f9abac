"""The tab of any verb, derived from the table of verbs: components of its inputs and options, and what it gives."""

import gradio as gr
import numpy as np

from tfgen.ui import inputs, outputs
from tfgen.ui.controls import of_options, read_options
from tfgen.ui.wiring import show


def tab(model, verb, opened):
    """Fills the tab of a verb.

    Args:
        model: the `found.Model`.
        verb: the `verbs.Verb`.
        opened: the event of opening the tab.
    """
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            parts = [inputs.OF_KIND[field.kind](model, verb) for field in verb.inputs]
            options = of_options(model, verb, next((part.label for part in parts if part.label is not None), None))
        with gr.Column(scale=3, min_width=420):
            output = outputs.OF_KIND[verb.output.kind](model, verb)
    controls = [*parts, *options.values()]

    def answer(*values):
        values = list(values)
        given = inputs.rows_of([part.read(*[values.pop(0) for _ in part.components]) for part in parts])
        if verb.output.kind == "values":
            given = [np.concatenate([rows, model.images()[0]]) for rows in given]
        return output.draw(given, model.outputs(verb.name, *given, **read_options(options, values)))

    show(model, opened, answer, [one for control in controls for one in control.components], output.components)

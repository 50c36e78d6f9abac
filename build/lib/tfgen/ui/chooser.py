"""Choosing one picture: of examples, or one's own file."""

import gradio as gr
import numpy as np

from tfgen.errors import UserError
from tfgen.ui.controls import Control
from tfgen.ui.looks import thumbnail
from tfgen.ui.wiring import listen


def chooser(model, kind, pairing=None):
    """A strip of examples and a button for a file; `Control` of the chosen picture, float32 (1, H, W, C), with its class.

    Args:
        model: the `found.Model`.
        kind: `"images"` or `"sources"`.
        pairing: name of what computes sources from images, which is then offered for one's own file; None: nothing.
    """
    pictures, labels = model.images() if kind == "images" else (model.sources(), None)
    pictures, labels = list(pictures), [None] * len(pictures) if labels is None else [int(label) for label in labels]
    strip, classes = gr.State(pictures), gr.State(labels)
    chosen, label = gr.State(pictures[0] if pictures else None), gr.State(labels[0] if labels else None)
    gallery = gr.Gallery(list(map(thumbnail, pictures)), label="Pictures", columns=6, height=None, allow_preview=False,
                         selected_index=0 if pictures else None, object_fit="contain", format="png", buttons=[],
                         interactive=False, elem_classes="strip")
    upload = gr.UploadButton("Your own picture", file_types=["image"], size="sm")
    computed = gr.Checkbox(bool(pairing), label=f"Apply '{pairing}' to your picture", visible=bool(pairing))

    def choose(strip, classes, event: gr.SelectData):
        return strip[event.index], classes[event.index]

    def add(path, strip, classes, computed):
        strip = [model.read_paired(path, pairing) if computed else model.read(path, kind), *strip]
        return strip, [None, *classes], strip[0], None, gr.Gallery(list(map(thumbnail, strip)), selected_index=0)

    listen(gallery.select, choose, [strip, classes], [chosen, label])
    listen(upload.upload, add, [upload, strip, classes, computed], [strip, classes, chosen, label, gallery])
    return Control([chosen], one, label)


def one(picture):
    if picture is None:
        raise UserError("expected a picture, received none: choose your own")
    return np.asarray(picture, np.float32)[None]

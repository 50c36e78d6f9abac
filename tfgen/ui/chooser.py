"""Choosing one picture: of examples, or one's own file."""

import gradio as gr
import numpy as np

from tfgen.errors import UserError
from tfgen.ui.controls import Control
from tfgen.ui.looks import thumbnail
from tfgen.ui.wiring import listen


def chooser(model, kind, pairing=None):
    """A strip of examples and a button for a file; `Control` of the chosen picture, float32 (1, H, W, C).

    Args:
        model: the `found.Model`.
        kind: `"images"` or `"sources"`.
        pairing: name of what computes sources from images, which is then offered for one's own file; None: nothing.
    """
    pictures = list(model.images()[0] if kind == "images" else model.sources())
    strip = gr.State(pictures)
    chosen = gr.State(pictures[0] if pictures else None)
    gallery = gr.Gallery(list(map(thumbnail, pictures)), label="Pictures", columns=6, height=None, allow_preview=False,
                         selected_index=0 if pictures else None, object_fit="contain", format="png", buttons=[],
                         interactive=False, elem_classes="strip")
    upload = gr.UploadButton("Your own picture", file_types=["image"], size="sm")
    computed = gr.Checkbox(bool(pairing), label=f"Apply '{pairing}' to your picture", visible=bool(pairing))

    def choose(strip, event: gr.SelectData):
        return strip[event.index]

    def add(path, strip, computed):
        strip = [model.read_paired(path, pairing) if computed else model.read(path, kind), *strip]
        return strip, strip[0], gr.Gallery(list(map(thumbnail, strip)), selected_index=0)

    listen(gallery.select, choose, [strip], [chosen])
    listen(upload.upload, add, [upload, strip, computed], [strip, chosen, gallery])
    return Control([chosen], one)


def one(picture):
    if picture is None:
        raise UserError("expected a picture, received none: choose your own")
    return np.asarray(picture, np.float32)[None]

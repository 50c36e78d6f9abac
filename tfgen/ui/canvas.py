"""A canvas to paint on: the chosen picture, enlarged, under a brush; the strokes in the model's own pixels."""

import gradio as gr
import numpy as np

from tfgen.data.readers.resize import resize
from tfgen.ui import looks
from tfgen.ui.wiring import listen

PIXELS = 400  # the longer side


def canvas(chosen, label, brush, shape):
    """An editor over a chosen picture.

    Args:
        chosen: `gr.State` of the picture, float32 (H, W, C), which the editor's background follows.
        label: of the editor.
        brush: a `gr.Brush`.
        shape: (H, W, ...) of the pictures.

    Returns:
        `gr.State` of the strokes, float32 (H, W, 4): colours and opacity in [0, 1]; None before there are any.
    """
    side = looks.enlargement(shape, PIXELS)
    size = shape[1] * side, shape[0] * side
    editor = gr.ImageEditor(value(chosen.value), label=label, sources=(), transforms=(), layers=False, brush=brush,
                            canvas_size=size, fixed_canvas=True, format="png", height=size[1] + 70, buttons=[],
                            interactive=True, elem_classes="canvas")
    strokes = gr.State(None)
    # The event of strokes; that of changes never comes for an editor that is rendered later.
    listen(editor.input, lambda edited: of_layers(edited["layers"] if edited else [], shape), [editor], [strokes])
    listen(chosen.change, value, [chosen], [editor])
    return strokes


def value(picture):
    """The editor's value for a picture without strokes."""
    return None if picture is None else {"background": looks.single(picture, PIXELS), "layers": [], "composite": None}


def of_layers(layers, shape):
    """Strokes in the model's pixels, float32 (H, W, 4), from the editor's layers, RGBA uint8 each; None without any."""
    layers = [layer for layer in layers if layer is not None and layer.ndim == 3 and layer[..., 3].any()]
    if not layers:
        return None
    painted = np.asarray(layers[-1], np.float32) / 255.0
    # Colours are averaged with their opacity, as transparent pixels have any.
    weighted = np.concatenate([painted[..., :3] * painted[..., 3:], painted[..., 3:]], axis=-1)
    small = resize(weighted, shape[:2])
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.clip(small, 0.0, 1.0)


def covered(strokes, shape, least=0.25):
    """Bool (H, W): pixels of which strokes cover at least a share."""
    return np.zeros(shape[:2], bool) if strokes is None else strokes[..., 3] >= least

"""A canvas to paint on: the chosen picture, enlarged, under a brush; the strokes in the model's own pixels.

Gradio's own editor uploads the picture, the strokes and both together with each step of every event of the page, some forty
files per stroke. This one sends the strokes once, when one has ended.
"""

import base64
import io
import pathlib

import gradio as gr
import numpy as np
from PIL import Image, UnidentifiedImageError

from tfgen.data.readers.resize import resize
from tfgen.errors import UserError
from tfgen.ui import looks
from tfgen.ui.wiring import listen

PIXELS = 400  # the longer side
PNG = "data:image/png;base64,"
SCRIPT = pathlib.Path(__file__).with_suffix(".js")
TEMPLATE = """
<div class="sheet" style="width: {width}px; aspect-ratio: {width} / {height}">
  <img src="${{(value || '').split(' ')[0]}}" alt="" draggable="false"><canvas width="{width}" height="{height}"></canvas>
</div>
<div class="tools">{inks}
  <button type="button" data-ink="">Eraser</button>
  <label>Width <input type="range" min="2" max="{widest}" value="{brush}"></label>
  <button type="button" data-tool="undo">Undo</button><button type="button" data-tool="clear">Clear</button>
</div>
"""
INK = '<button type="button" class="ink" data-ink="{0}" title="{0}" style="background: {0}"></button>'


def canvas(chosen, label, inks, brush, shape):
    """A canvas over a chosen picture.

    Args:
        chosen: `gr.State` of the picture, float32 (H, W, C), which the canvas shows; another one has no strokes.
        label: of the canvas.
        inks: colours to choose from, such as `("#ffffff", "#000000")`; the first is chosen.
        brush: width of the strokes to begin with, in pixels of the canvas.
        shape: (H, W, ...) of the pictures.

    Returns:
        `gr.State` of the strokes, float32 (H, W, 4): colours and opacity in [0, 1]; None before there are any.
    """
    width, height = size_of(shape)
    template = TEMPLATE.format(width=width, height=height, widest=max(60, 2 * brush), brush=brush,
                               inks="".join(map(INK.format, inks)))
    sheet = gr.HTML(address(chosen.value), label=label, show_label=True, container=True, html_template=template,
                    js_on_load=SCRIPT.read_text("utf-8"), apply_default_css=False, elem_classes="canvas")
    strokes = gr.State(None)
    listen(sheet.input, lambda value: of_address(value.partition(" ")[2], shape), [sheet], [strokes])
    listen(chosen.change, lambda picture: (address(picture), None), [chosen], [sheet, strokes])
    return strokes


def size_of(shape):
    """(width, height) of the canvas of pictures (H, W, ...)."""
    side = looks.enlargement(shape, PIXELS)
    return shape[1] * side, shape[0] * side


def address(picture):
    """A picture (H, W, C) as a data URL; "" for None."""
    if picture is None:
        return ""
    file = io.BytesIO()
    Image.fromarray(looks.single(picture, PIXELS)).save(file, "png")
    return PNG + base64.b64encode(file.getvalue()).decode()


def of_address(url, shape):
    """Strokes in the model's pixels, float32 (H, W, 4), from the data URL of a canvas; None without any."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.removeprefix(PNG))), formats=("PNG",)) as image:
            # Another size is not decoded: few bytes may hold many pixels.
            painted = np.asarray(image.convert("RGBA")) if image.size == size_of(shape) else None
    except (ValueError, UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f"expected strokes as a PNG file, received what is none ({error}): load the page again") from None
    if painted is None:
        raise UserError(f"expected strokes of {'x'.join(map(str, size_of(shape)))} pixels, as the canvas, received "
                        f"{'x'.join(map(str, image.size))}: load the page again")
    return of_layer(painted, shape)


def of_layer(painted, shape):
    """Strokes in the model's pixels, float32 (H, W, 4), from RGBA uint8 of any size; None without any."""
    if not painted[..., 3].any():
        return None
    painted = np.asarray(painted, np.float32) / 255.0
    # Colours are averaged with their opacity, as transparent pixels have any.
    weighted = np.concatenate([painted[..., :3] * painted[..., 3:], painted[..., 3:]], axis=-1)
    small = resize(weighted, shape[:2])
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.clip(small, 0.0, 1.0)


def covered(strokes, shape, least=0.25):
    """Bool (H, W): pixels of which strokes cover at least a share."""
    return np.zeros(shape[:2], bool) if strokes is None else strokes[..., 3] >= least

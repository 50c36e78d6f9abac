"""A grid of codes to click on: each click puts another code in a place, and the image is decoded anew."""

import gradio as gr

from tfgen.ui import looks
from tfgen.ui.chooser import chooser
from tfgen.ui.controls import components_of, of_options, read_options
from tfgen.ui.outputs import picture
from tfgen.ui.wiring import listen, show

SIDE = 400


def tab(model, verb, opened):
    """Fills the tab of a verb that decodes latents that are codes; see `general.tab`."""
    book = model.about.get("hyperparameters", {}).get("codebook_size", 512)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            control = chooser(model, "images")
            code = gr.Slider(0, book - 1, 0, step=1, label="Code", info="What a click on a place of the codes puts there")
            options = of_options(model, verb, control.label)
        with gr.Column(scale=2, min_width=320):
            grid = picture("Codes: click on one", elem_id="codes")
        with gr.Column(scale=2, min_width=320):
            image = picture("Decoded")
    codes = gr.State(None)
    components = components_of(options)

    def encoded(picture):
        return model("encode", control.read(picture))[0]

    def draw(codes, *values):
        return [looks.codes(looks.on_grid(codes), SIDE),
                looks.single(model(verb.name, codes[None], **read_options(options, values))[0], SIDE)]

    def first(picture, *values):
        codes = encoded(picture)
        return [codes, *draw(codes, *values)]

    def click(codes, code, event: gr.SelectData):
        changed, wide = codes.copy(), looks.on_grid(codes)
        cell = SIDE // max(wide.shape)
        place = event.index[1] // cell * wide.shape[1] + event.index[0] // cell
        if 0 <= place < changed.size:
            changed.reshape(-1)[place] = code
        return changed

    show(model, opened, first, [*control.components, *components], [codes, grid, image])
    listen(grid.select, click, [codes, code], [codes])
    listen(codes.change, draw, [codes, *components], [grid, image], model)

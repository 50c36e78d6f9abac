"""A plane of latents to click on: codes of example images, or what a grid of points decodes to."""

import gradio as gr
import numpy as np

from tfgen import pictures
from tfgen.pictures import plots, scatter
from tfgen.ui import looks
from tfgen.ui.controls import components_of, of_options, read_options
from tfgen.ui.outputs import picture
from tfgen.ui.space import Space
from tfgen.ui.wiring import listen, show

PIXELS, SIDE, MARGIN = 560, 14, 0.06
CODES, IMAGES = "codes of images", "what points decode to"


class Plane:
    """The plane of the first two latent dimensions or, of wider latents, of the first two principal components.

    Args:
        space: the `Space`.
    """

    def __init__(self, space):
        self.codes, self.labels = np.asarray(space.codes[0], float), space.codes[1]
        if space.size == 2:
            self.origin, self.axes = np.zeros(2), np.eye(2)
        else:
            mean, axes, _ = space.principal
            self.origin, self.axes = mean, axes[:2]
        self.points = (self.codes - self.origin) @ self.axes.T  # (N, 2)
        shown = self.points if len(self.points) else np.array([[-1.0, -1.0], [1.0, 1.0]])
        low, high = np.percentile(shown, (0.5, 99.5), axis=0)
        self.low, self.high = low - MARGIN * (high - low + 1e-6), high + MARGIN * (high - low + 1e-6)

    def at(self, pixel):
        """The point under a pixel (x, y) of a picture of PIXELS x PIXELS; y points downwards."""
        x, y = (np.asarray(pixel, float) + 0.5) / PIXELS
        return self.low + np.array([x, 1 - y]) * (self.high - self.low)

    def latents(self, points):
        """Latents of points (N, 2): float32 (N, d)."""
        return (self.origin + np.asarray(points) @ self.axes).astype(np.float32)

    def grid(self):
        """SIDE x SIDE points, row by row from the top."""
        places = (np.arange(SIDE) + 0.5) * PIXELS / SIDE
        return np.array([self.at((x - 0.5, y - 0.5)) for y in places for x in places])


def tab(model, verb, opened):
    """Fills the tab of a plane of latents of the verb that decodes them; see `general.tab`."""
    made = {}
    with gr.Row():
        with gr.Column(scale=3, min_width=420):
            ground_picture = picture("Click on a point", height=PIXELS + 34, elem_id="plane")
        with gr.Column(scale=2, min_width=320):
            ground = gr.Radio([CODES, IMAGES], value=CODES, label="Shown")
            image = picture("Decoded", height=400)
            says = gr.Markdown()
            options = of_options(model, verb)
    point = gr.State(None)

    def plane():
        with model.lock:
            if not made:
                made["plane"] = Plane(Space(model))
        return made["plane"]

    def draw(ground, point, *values):
        here, chosen = plane(), read_options(options, values)
        point = (here.low + here.high) / 2 if point is None else np.array(point)
        decoded = model(verb.name, here.latents([point]), **chosen)[0]
        background = None
        if ground == IMAGES:
            tiles = model(verb.name, here.latents(here.grid()), **chosen)
            background = pictures.grid(tiles, SIDE, scale=1)
        return [drawn(here, point, background, model.live.class_names), looks.single(decoded),
                f"Point: ({point[0]:.3g}, {point[1]:.3g})"]

    def click(event: gr.SelectData):
        return plane().at(event.index).tolist()

    listen(ground_picture.select, click, [], [point])
    components = components_of(options)
    show(model, opened, draw, [ground, point, *components], [ground_picture, image, says])


def drawn(plane, point, background=None, class_names=()):
    """The plane with a marked point, uint8 (PIXELS, PIXELS, 3)."""
    figure = plots.new_figure(PIXELS / 110, PIXELS / 110)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    (left, bottom), (right, top) = plane.low, plane.high
    if background is not None:
        axes.imshow(background, extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")
    else:
        scatter.labelled(axes, plane.points, plane.labels, class_names)
    axes.plot(*point, "+", color="black", markersize=26, markeredgewidth=4)
    axes.plot(*point, "+", color="white", markersize=22, markeredgewidth=1.5)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return looks.drawn(figure)

"""The page: a model to choose, its card, and a tab per verb."""

import signal
import socket
import sys
import threading

import gradio as gr

from tfgen.errors import Failure
from tfgen.ui import brush, codes, explorer, found, general, heat, plane, sketch
from tfgen.ui.controls import title_of
from tfgen.ui.found import line_of, log
from tfgen.verbs.table import verb_of

# Fonts of the machine: none is asked of a host.
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
CSS = """
.picture img, .strip img, .ranked img, .canvas img {image-rendering: pixelated}
.picture {padding-top: 34px}
.strip, .strip .grid-wrap {height: auto !important; min-height: 0}
.strip .grid-container {grid-template-columns: repeat(6, minmax(0, 1fr)); grid-template-rows: none; grid-auto-rows: auto;
                       gap: 4px; padding-top: 34px; height: auto}
.strip .thumbnail-lg {min-width: 0; width: 100%; height: auto; aspect-ratio: 1; border-radius: 2px}
.canvas .sheet {position: relative; max-width: 100%; margin-top: 34px}
.canvas .sheet img, .canvas .sheet canvas {position: absolute; inset: 0; width: 100%; height: 100%; margin: 0}
.canvas canvas {cursor: crosshair; touch-action: none}
.canvas .tools {display: flex; flex-wrap: wrap; align-items: center; gap: 8px; padding-top: 8px}
.canvas .tools button {border: 1px solid var(--border-color-primary); border-radius: 4px; padding: 2px 8px; min-height: 28px}
.canvas .tools button.ink {width: 28px; padding: 0}
.canvas .tools button.on {outline: 2px solid var(--color-accent); outline-offset: 1px}
.canvas .tools label {display: flex; align-items: center; gap: 6px}
.canvas .tools input {width: 72px}
.card table, .card table * {border-color: var(--border-color-primary)}
"""
# Requests that wait, for all models together.
WAITING = 64
LARGEST = "32mb"  # of an uploaded file


def serve(address, host="127.0.0.1", port=7860, browser=False):
    """Serves the page until SIGTERM or Ctrl-C.

    Args:
        address: a folder of models, a run, a SavedModel or a URL.
        host, port: where to listen; port 0 takes a free one.
        browser: open the page in a browser.

    Raises:
        UserError: if there is no model, or the only one cannot be opened.
        Failure: if the port is taken.
    """
    models = found.find(address)
    if len(models) == 1:
        next(iter(models.values())).open()
    page, url = start(models, host, port, browser)
    print(f"{url} shows {', '.join(models)}; Ctrl-C ends it", flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        ended.wait()
    except KeyboardInterrupt:
        pass
    page.close(verbose=False)
    print("stopped", file=sys.stderr)


def start(models, host="127.0.0.1", port=0, browser=False):
    """(the started page, its URL); arguments and errors as for `serve`, models as `found.find` gives them."""
    port = port or free_port(host)
    theme = gr.themes.Default(primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", **FONTS)
    page = build(models)
    try:
        page.launch(server_name=host, server_port=port, inbrowser=browser, prevent_thread_lock=True, quiet=True, share=False,
                    theme=theme, css=CSS, ssr_mode=False, footer_links=[], max_file_size=LARGEST, run_history=False)
    except OSError as error:
        raise Failure(f"{host}:{port} cannot be listened on ({error}): choose another --port, or stop what listens "
                      "there") from None
    return page, f"http://{host}:{port}"


def free_port(host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        try:
            one.bind((host, 0))
        except OSError as error:
            raise Failure(f"{host} cannot be listened on ({error.strerror}): choose another --host") from None
        return one.getsockname()[1]


def build(models):
    """The page of models, {name: found.Model}: a `gr.Blocks`."""
    # Every answer and upload is a file: those of a day ago go every hour, all of them with the page.
    with gr.Blocks(title="tfgen", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        gr.Markdown("# tfgen")
        if len(models) == 1:
            place(page, *models.values(), page.load)
        else:
            with gr.Tabs():
                for index, model in enumerate(models.values()):
                    with gr.Tab(model.name) as tab:
                        place(page, model, tab.select if index else page.load)
    return page.queue(max_size=WAITING, default_concurrency_limit=None)


def place(page, model, opened):
    """Opens a model and fills its place on the page at the first event `opened`."""
    chosen = gr.State(False)
    opened(lambda: True, None, chosen, api_visibility="private", show_progress="hidden")

    # One at a time: Gradio collects all components of the page.
    @gr.render(inputs=chosen, triggers=[chosen.change], concurrency_limit=1, concurrency_id="render")
    def filled(chosen):
        try:
            model.open()
            gr.Markdown(card(model), elem_classes="card")
            fill(page, model)
        except Exception as error:
            log(f"{model.name} cannot be opened: {line_of(error)}")
            gr.Markdown(f"**{model.name} cannot be opened:** {line_of(error)}")


def tabs_of(live):
    """[(title, sentence, function that fills a tab, verb)] of a model: one per verb, and those of its latent space."""
    tabs = []
    for name in sorted(live.names, key=lambda name: name != "sample"):
        verb = verb_of(live, name)
        tabs += [(*tab, verb) for tab in _of_verb(live, verb)]
    return tabs


def _of_verb(live, verb):
    takes, title = {field.kind for field in verb.inputs}, title_of(verb.name)
    if "latents" in takes and live.latent_dtype == "int64":
        return [("Codes", "Changes codes of an image one by one.", codes.tab)] if "encode" in live.names else []
    if "latents" in takes:
        wide = len(live.latent_shape) == 1 and live.latent_shape[0] >= 2
        mapped = wide and ("encode" in live.names or live.latent_shape == (2,))
        return [("Latents", "Moves along the axes of the latent space, and from the latent of one seed to that of another.",
                 explorer.tab), *[("Plane", "Decodes the points of a plane of latents.", plane.tab)][:int(mapped)]]
    if "masks" in takes:
        return [(title, "Draws the pixels that are hidden or painted over, given the others.", brush.completing)]
    if "sources" in takes:
        return [(title, verb.sentence, sketch.tab)]
    if verb.output.kind == "maps":
        return [("Heat maps", verb.sentence, heat.tab)]
    if takes == {"images"} and verb.output.kind == "images":
        return [(title, f"{verb.sentence} Add noise, or paint over a part: what is left of it?", brush.spoiling)]
    return [(title, verb.sentence, general.tab)]


def fill(page, model):
    """The tabs of a model; the first is opened with the page."""
    with gr.Tabs():
        for index, (title, sentence, filled, verb) in enumerate(tabs_of(model.live)):
            with gr.Tab(title) as tab:
                gr.Markdown(sentence)
                filled(model, verb, tab.select if index else page.load)


def card(model):
    """What a model is, as Markdown."""
    about, live = model.about, model.live
    height, width, channels = (*live.image_shape[:2], live.image_shape[-1]) if len(live.image_shape) == 3 else (
        live.image_shape[0], 1, live.image_shape[-1])
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    rows = {"Recipe": about.get("recipe"), "Data": about.get("data", {}).get("name"),
            "Images": f"{height} x {width}, {colours}", "Verbs": ", ".join(live.names)}
    rows = {key: value for key, value in rows.items() if value}
    return "\n".join((f"| {' | '.join(rows)} |", "|" + " --- |" * len(rows), f"| {' | '.join(rows.values())} |"))

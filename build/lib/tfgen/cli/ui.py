"""The command that opens a page to try models on."""

import pathlib
from typing import Annotated

import typer

from tfgen.cli.lazy import page
from tfgen.errors import UserError


def ui(address: Annotated[pathlib.Path, typer.Argument(
           help="A folder of SavedModels or runs, one of them, or the URL of a model on a server.")],
       host: Annotated[str, typer.Option(
           help="Address to listen on; whoever reaches it can use the page.")] = "127.0.0.1",
       port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: a free one.")] = 7860,
       open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True):
    """Opens a page in the browser with a tab for each verb of each model found.

    Sampling with seeds and options, a latent explorer, a sketch pad, a brush for completion, heat maps. It needs the extra
    'ui' and asks nothing of other hosts. Ctrl-C or SIGTERM ends it.

    Example: tfgen ui saved_models
    """
    require_extra()
    page.serve(address, host, port, open_)


def require_extra():
    """Raises a `UserError` unless Gradio is installed."""
    import importlib.util

    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page expects the packages of tfgen's extra 'ui', received none of gradio: "
                        "pip install 'tfgen[ui]'")

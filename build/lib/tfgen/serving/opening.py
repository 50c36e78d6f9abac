"""Opens a run folder, a SavedModel folder or a model on a server by its verbs."""

import pathlib

from tfgen.errors import UserError
from tfgen.runs.folder import load_data, open_run, read
from tfgen.serving import client, saved_model
from tfgen.verbs.live import Live


def open_verbs(path):
    """The verbs of a run folder, a SavedModel folder or a model on a server, `http://HOST:PORT/NAME` or
    `grpc://HOST:PORT/NAME`: `verbs.live.Live`, `serving.saved_model.Served` or `serving.client.Client`.

    Raises:
        UserError: if the path is none of them.
    """
    if url := client.address(path):
        return client.Client(url)
    path = pathlib.Path(path)
    if saved_model.is_saved_model(path):
        return saved_model.Served(path)
    if not path.exists():
        raise UserError(f"there is no {path}; expected a run folder, a SavedModel folder or a model's URL")
    model, settings = open_run(path)
    live = Live(model)
    live.tell(settings)
    return live


def record_of(live, path):
    """The record of the run or export at `path`, whose verbs are `live`; {} where none is told."""
    return live.about if isinstance(live, saved_model.Exported) else read(path)


def data_of(record):
    """The data that a model was trained on, from the record of its run or export; None where that does not say where it is.

    Raises:
        UserError: for data that cannot be read.
    """
    return None if record.get("data", {"local": True}).get("local") else load_data(record)

"""Opens a run folder or a SavedModel folder by its verbs."""

import pathlib

from tfgen.errors import UserError
from tfgen.runs.folder import open_run
from tfgen.serving import saved_model
from tfgen.verbs.live import Live


def open_verbs(path):
    """The verbs of a run folder or a SavedModel folder: `verbs.live.Live` or `serving.saved_model.Served`.

    Raises:
        UserError: if the path is neither.
    """
    path = pathlib.Path(path)
    if saved_model.is_saved_model(path):
        return saved_model.Served(path)
    if not path.exists():
        raise UserError(f"there is no {path}; expected a run folder or a SavedModel folder")
    model, settings = open_run(path)
    live = Live(model)
    live.tell(settings)
    return live

"""TF Serving's own server, where it is installed: its command line for a folder of SavedModels."""

import pathlib
import shutil
import tempfile

PROGRAM = "tensorflow_model_server"


def program():
    """The path of TF Serving's server, or None."""
    return shutil.which(PROGRAM)


def command(folder, port, grpc_port, largest_batch=None, sizes=()):
    """The command that serves a folder, with its configuration in a temporary folder.

    `folder` and the ports are those of `Server`, `largest_batch` and `sizes` those of `configuration.write`. The server
    listens on every address of the machine and knows no token.
    """
    from tfgen.serving import configuration
    from tfgen.serving.saved_model import export_paths

    folder, to = pathlib.Path(folder).resolve(), tempfile.mkdtemp(prefix="tfgen-serving-")
    if export_paths(folder):
        # The folder of one model's versions, in a folder of models.
        models = pathlib.Path(to, "models")
        models.mkdir()
        (models / folder.name).symlink_to(folder)
        folder = models
    configuration.write(folder, to, str(folder), largest_batch, sizes)
    xla = "gpu" if configuration.any_xla(folder) else None
    return [program(), f"--port={grpc_port}", f"--rest_api_port={port}", *configuration.flags(to, xla)]

"""SavedModels on disk: their versions, their records and their verbs."""

import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tfgen import files, verbs
from tfgen.errors import UserError
from tfgen.verbs.live import Verbs

ABOUT = "assets.extra/tfgen.json"
# The signature of requests that name none: TF Serving's name for an export's first verb.
DEFAULT = "serving_default"


def export_numbers(folder):
    """Sorted version numbers of the exports in `folder`."""
    folder = pathlib.Path(folder)
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []


class Served(Verbs):
    """The verbs of a SavedModel on disk; does not need the code of the model."""

    def __init__(self, path):
        path = pathlib.Path(path)
        if not (path / "saved_model.pb").exists() and export_numbers(path):
            path = path / str(export_numbers(path)[-1])
        if not (path / "saved_model.pb").exists():
            raise UserError(f"{path} holds no SavedModel; export one with `tfgen export RUN --to {path}`")
        self.path = path
        try:
            self.loaded = tf.saved_model.load(str(path))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"expected a SavedModel in {path}, it cannot be read ({' '.join(str(error).split())[:200]}): "
                            "export it again") from None
        self.about = files.read_json(path / ABOUT) if (path / ABOUT).exists() else {}
        self.image_shape = tuple(self.about.get("image_shape", ()))
        self.latent_shape = tuple(self.about.get("latent_shape") or ()) or None
        self.latent_dtype = self.about.get("latent_dtype", "float32")
        self.source_shape = tuple(self.about.get("source_shape") or ()) or None
        self.coordinate_shape = tuple(self.about.get("coordinate_shape") or ()) or None
        self.normalised = self.about.get("normalised", True)
        self.tell(self.about)
        self.names = [name for name in verbs.VERBS if name in self.loaded.signatures]
        self.options = {name: {key: verbs.option_of(fields) for key, fields in options.items()}
                        for name, options in self.about.get("verbs", {}).items()}
        self.shapes = {}
        for name in self.names:
            self.options.setdefault(name, {})
            specs = self.loaded.signatures[name].structured_input_signature[1]
            self.shapes[name] = {field.name: tuple(specs[field.name].shape[1:])
                                 for field in verbs.verb_of(self, name).inputs}

    def call(self, name, options):
        keys = [*(field.name for field in verbs.verb_of(self, name).inputs), *options]
        signature = self.loaded.signatures[name]
        return lambda *columns: signature(**dict(zip(keys, columns)))


def is_saved_model(path):
    """Whether `path` is a SavedModel or a folder of versions."""
    path = pathlib.Path(path)
    return (path / "saved_model.pb").exists() or any(
        (path / str(version) / "saved_model.pb").exists() for version in export_numbers(path))


def tensors(path):
    """{signature: ({input: tensor's name}, {output: tensor's name})} of a SavedModel.

    Raises:
        UserError: for a file that is no SavedModel.
    """
    file = pathlib.Path(path) / "saved_model.pb"
    try:
        graphs = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
        signatures = next(graph.signature_def for graph in graphs if "serve" in graph.meta_info_def.tags)
    except (OSError, DecodeError, StopIteration) as error:
        raise UserError(f"expected a SavedModel in {file}, it cannot be read ({error}): export it again") from None
    return {name: tuple({key: info.name for key, info in side.items()} for side in (found.inputs, found.outputs))
            for name, found in signatures.items() if found.outputs and not name.startswith("__")}

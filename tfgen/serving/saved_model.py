"""SavedModels on disk: their versions, their records and their verbs."""

import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tfgen import files, verbs
from tfgen.errors import UserError
from tfgen.verbs.live import Verbs
from tfgen.verbs.table import FIELD_VERBS

ABOUT = "assets.extra/tfgen.json"
# The signature of requests that name none: TF Serving's name for an export's first verb.
DEFAULT = "serving_default"


def export_paths(folder):
    """{version number: path} of the exports in `folder`, ascending.

    As TF Serving has it, names are decimal numbers below 2^63, which may begin with zeros; of two with one number the
    shorter one counts.
    """
    folder = pathlib.Path(folder)
    named = [path for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()] if folder.is_dir() else []
    found = {int(path.name): path for path in sorted(named, key=lambda path: (int(path.name), -len(path.name)))}
    return {number: path for number, path in found.items() if number < 2**63}


class Exported(Verbs):
    """The verbs of an exported model, on disk (`Served`) or on a server (`client.Client`).

    Attributes:
        about: the record of the export, `tfgen.json`; {} where it is not told.
    """

    def describe(self, about, rows):
        """Sets the attributes of `Verbs` from the record of an export, and from its signatures where that says nothing.

        Args:
            about: the record.
            rows: {signature: ({input: shape of a row}, {output: shape of a row})}; unknown sides are None.
        """
        self.about, shapes = about, _of_kinds(rows)
        self.image_shape, self.latent_shape, self.source_shape, self.coordinate_shape = (
            tuple(about.get(key) or () if about else shapes.get(kind, ())) or default for key, kind, default in (
                ("image_shape", "images", ()), ("latent_shape", "latents", None), ("source_shape", "sources", None),
                ("coordinate_shape", "coordinates", None)))
        self.latent_dtype = about.get("latent_dtype", "float32")
        self.normalised = about.get("normalised", True)
        self.tell(about)
        self.names = [name for name in verbs.VERBS if name in rows]
        self.options = {name: {} for name in self.names} | {
            name: {key: verbs.option_of(fields) for key, fields in options.items()}
            for name, options in about.get("verbs", {}).items()}
        self.shapes = {name: {field.name: rows[name][0][field.name] for field in verbs.verb_of(self, name).inputs}
                       for name in self.names}


def _of_kinds(rows):
    """{kind of data: shape of a row} of the verbs among the signatures of an export."""
    found = {}
    for name in set(rows) & set(verbs.VERBS):
        inputs, outputs = rows[name]
        form = FIELD_VERBS[name] if "coordinates" in inputs else verbs.VERBS[name]
        for field, shape in [*((field, inputs.get(field.name)) for field in form.inputs),
                             (form.output, outputs.get(form.output.name))]:
            if shape:
                found.setdefault(field.kind, shape)
    return found


def _rows(specs):
    """{name: shape of a row} of TensorSpecs; () where the rank is not known."""
    return {name: tuple(spec.shape[1:]) if spec.shape.rank else () for name, spec in specs.items()}


class Served(Exported):
    """The verbs of a SavedModel on disk; does not need the code of the model."""

    def __init__(self, path):
        path = pathlib.Path(path)
        if not (path / "saved_model.pb").exists() and (found := export_paths(path)):
            path = found[max(found)]
        if not (path / "saved_model.pb").exists():
            raise UserError(f"{path} holds no SavedModel; export one with `tfgen export RUN --to {path}`")
        self.path = path
        try:
            self.loaded = tf.saved_model.load(str(path))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"expected a SavedModel in {path}, it cannot be read ({' '.join(str(error).split())[:200]}): "
                            "export it again") from None
        self.describe(files.read_json(path / ABOUT) if (path / ABOUT).exists() else {},
                      {name: (_rows(one.structured_input_signature[1]), _rows(one.structured_outputs))
                       for name, one in self.loaded.signatures.items()})

    def call(self, name, options):
        keys = [*(field.name for field in verbs.verb_of(self, name).inputs), *options]
        signature = self.loaded.signatures[name]
        return lambda *columns: signature(**dict(zip(keys, columns)))


def is_saved_model(path):
    """Whether `path` is a SavedModel or a folder of versions."""
    path = pathlib.Path(path)
    return (path / "saved_model.pb").exists() or any(
        (version / "saved_model.pb").exists() for version in export_paths(path).values())


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

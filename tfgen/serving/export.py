"""SavedModel export in TF Serving's layout: one signature per verb, dynamic batch size, images in [0, 1]."""

import contextlib
import math
import os
import pathlib
import shutil

import keras
import numpy as np
import tensorflow as tf

from tfgen import files
from tfgen.errors import Failure, UserError
from tfgen.serving.saved_model import ABOUT, export_numbers
from tfgen.verbs import Text, graphs, verb_of
from tfgen.verbs.live import Live

# Length of sides of example inputs that may have any length.
EXAMPLE_SIDE = 7


def export(model, folder, version=None, about=None, live=None):
    """Exports a model to `folder/<version>/`, which appears only after the SavedModel has been verified in a session.

    Args:
        model: a `GenerativeModel`.
        folder: folder of the model's versions, TF Serving's `model_base_path`.
        version: a positive int; None uses one more than the highest existing version.
        about: further metadata to record (recipe, data …), a dict of JSON types.
        live: `verbs.live.Live` of the model, whose traced graphs are then written; None: they are traced.

    Returns:
        The path of the exported version.

    Raises:
        UserError: if the version exists already.
        Failure: if outputs of the SavedModel differ from those of the model.
    """
    folder = pathlib.Path(folder)
    if version is not None and (folder / str(version)).exists():
        raise UserError(f"version {version} exists already in {folder}; leave --version out for the next free one")
    with written(model, folder, about, live) as aside:
        while True:
            target = folder / str(version or max(export_numbers(folder), default=0) + 1)
            try:
                os.rename(aside, target)
                return target
            except OSError:
                if version or not target.exists():
                    raise


def export_to(model, path, format="tf_saved_model", about=None):
    """Exports a single SavedModel to `path`, without versions; implements `model.export`."""
    path = pathlib.Path(path)
    if format != "tf_saved_model":
        raise UserError(f"export expects format='tf_saved_model', received {format!r}: convert the SavedModel with that "
                        "format's own tool")
    if path.exists() and not (path / "saved_model.pb").exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"export expects a new folder or one that holds a SavedModel, received {path}: choose another")
    with written(model, path.parent, about) as aside:
        replaced = aside.with_name(f"{aside.name}-replaced")
        if path.exists():
            path.rename(replaced)
        aside.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def written(model, folder, about=None, live=None):
    """Context manager: a temporary folder in `folder` with a verified SavedModel; removed unless renamed."""
    live = live or Live(model)
    with files.folder_aside(folder) as aside:
        archive = keras.export.ExportArchive()
        for name in live.names:
            archive.add_endpoint(name, endpoint(live, name))
        archive.write_out(aside, verbose=False)
        files.write_json(aside / ABOUT, {"image_shape": live.image_shape, "latent_shape": live.latent_shape,
                                         "latent_dtype": live.latent_dtype, "source_shape": live.source_shape,
                                         "coordinate_shape": live.coordinate_shape, "normalised": live.normalised,
                                         "verbs": describe(live), **(about or {})})
        verify(aside, live)
        os.chmod(aside, 0o755)
        yield aside


def endpoint(live, name):
    """A `tf.function` that calls the traced verb: saving traces endpoints anew, but so not the networks in them."""
    traced, specs = live.function(name).get_concrete_function(), graphs.signature(live.model, name)
    return tf.function(lambda *columns: traced(*columns), list(specs.values()), autograph=False)


def describe(live):
    """{verb: {option: {field: value}}} for JSON."""
    return {name: {key: vars(option) for key, option in live.options[name].items()} for name in live.names}


def example_inputs(model, name, rows=3):
    """Valid example inputs of a verb: {input name: array of `rows` rows}."""
    generator = np.random.default_rng(0)
    inputs = {}
    for key, spec in graphs.signature(model, name).items():
        option = model.verb_options(name).get(key)
        if isinstance(option, Text):
            inputs[key] = np.take(option.examples, np.arange(rows), mode="wrap")
        elif option is not None:
            inputs[key] = np.full(rows, option.low if option.default is None else option.default, option.dtype)
        elif spec.dtype == tf.int64:
            inputs[key] = np.arange(rows * math.prod(spec.shape[1:])).reshape(rows, *spec.shape[1:])
        else:
            shape = [EXAMPLE_SIDE if side is None else side for side in spec.shape[1:]]
            inputs[key] = generator.uniform(size=(rows, *shape)).astype("float32")
    return inputs


def run(live, name, inputs):
    """All outputs of a verb for `inputs` {input or option: values}, as of `example_inputs`."""
    required = [inputs[field.name] for field in verb_of(live, name).inputs]
    return live.outputs(name, *required, **{key: inputs[key] for key in live.options[name]})


def verify(path, live, tolerance=1e-4):
    """Runs every signature in a session, as TF Serving does, and compares the outputs with the model.

    Raises:
        Failure: for a verb whose output differs by more than `tolerance` (absolute plus relative).
    """
    inputs_of = {name: example_inputs(live.model, name) for name in live.names}
    wanted_of = {}
    for name, inputs in inputs_of.items():
        wanted_of[name] = run(live, name, inputs)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        feeds, fetches = {}, {}
        for name, inputs in inputs_of.items():
            signature = loaded.signature_def[name]
            feeds |= {signature.inputs[key].name: value for key, value in inputs.items()}
            fetches[name] = {key: signature.outputs[key].name for key in wanted_of[name]}
        # One run for all: TensorFlow optimises the graph anew for every set of fetches.
        served_of = session.run(fetches, feeds)
    for name, outputs in wanted_of.items():
        for key, wanted in outputs.items():
            if not np.allclose(served_of[name][key], wanted, rtol=tolerance, atol=tolerance):
                error = np.max(np.abs(served_of[name][key].astype(float) - wanted))
                raise Failure(f"the exported '{name}' differs from the model by {error:.2g} in '{key}'")

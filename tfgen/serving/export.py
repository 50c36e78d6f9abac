"""SavedModel export in TF Serving's layout: one signature per verb, dynamic batch size, images in [0, 1]."""

import contextlib
import math
import os
import pathlib
import shutil

import keras
import numpy as np
import tensorflow as tf

from tfgen import files, noise
from tfgen.errors import Failure, UserError
from tfgen.serialization import computing_in
from tfgen.serving import examples, native, warmup
from tfgen.serving.forms import Form
from tfgen.serving.saved_model import ABOUT, DEFAULT, export_paths, tensors
from tfgen.verbs import Text, graphs, verb_of
from tfgen.verbs.live import Live

# Length of sides of example inputs that may have any length.
EXAMPLE_SIDE = 7
# Rows of the examples that are kept with an export, and of those that a form of lower precision is verified with.
EXAMPLE_ROWS, CAREFUL_ROWS = 3, 16


def export(model, folder, version=None, about=None, live=None, form=None, pictures=None):
    """Exports a model to `folder/<version>/`, which appears only after the SavedModel has been verified in a session.

    Args:
        model: a `GenerativeModel`.
        folder: folder of the model's versions, TF Serving's `model_base_path`.
        version: a positive int; None uses one more than the highest existing version.
        about: further metadata to record (recipe, data …), a dict of JSON types.
        live: `verbs.live.Live` of the model, whose traced graphs are then written; None: they are traced.
        form: `serving.forms.Form`; None: all verbs in float32, without XLA.
        pictures: images of the data to keep, see `examples.write_pictures`; None: none.

    Returns:
        The path of the exported version.

    Raises:
        UserError: if the version exists already, or the model lacks a signature of the form.
        Failure: if outputs of the SavedModel differ from those of the model, or XLA cannot compile a signature.
    """
    folder = pathlib.Path(folder)
    if version in export_paths(folder):
        raise UserError(f"version {version} exists already in {folder}; leave --version out for the next free one")
    with written(model, folder, folder.resolve().name, about, live, form, pictures) as aside:
        while True:
            target = folder / str(version or max(export_paths(folder), default=0) + 1)
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
    with written(model, path.parent, path.resolve().name, about) as aside:
        replaced = aside.with_name(f"{aside.name}-replaced")
        if path.exists():
            path.rename(replaced)
        aside.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def written(model, folder, model_name, about=None, live=None, form=None, pictures=None):
    """Context manager: a temporary folder in `folder` with a verified SavedModel; removed unless renamed.

    Args:
        model_name: name under which it will be served.
        model, folder, about, live, form, pictures: as for `export`.
    """
    live, form = live or Live(model), form or Form()
    names = form.names(live.names)
    computed = live if form.precision == "float32" else Live(computing_in(model, "mixed_bfloat16"))
    with files.folder_aside(folder) as aside:
        archive = keras.export.ExportArchive()
        for name in names:
            archive.add_endpoint(name, endpoint(computed, name, form.xla))
        archive.write_out(aside, verbose=False)
        files.write_json(aside / ABOUT, {"image_shape": live.image_shape, "latent_shape": live.latent_shape,
                                         "latent_dtype": live.latent_dtype, "source_shape": live.source_shape,
                                         "coordinate_shape": live.coordinate_shape, "normalised": live.normalised,
                                         "precision": form.precision, "xla": form.xla, "tolerance": form.tolerance,
                                         "warmup_batch_sizes": form.warmup_batch_sizes,
                                         "verbs": describe(live, names), **(about or {})})
        inputs, outputs = reference(live, names, EXAMPLE_ROWS if computed is live else CAREFUL_ROWS)
        verify(aside, inputs, outputs, form)
        examples.write(aside, *(_first_rows(given) for given in (inputs, outputs)))
        if pictures:
            examples.write_pictures(aside, pictures)
        warmup.write(aside, model_name, {DEFAULT: inputs[names[0]]} | inputs, form.warmup_batch_sizes)
        os.chmod(aside, 0o755)
        yield aside


def endpoint(live, name, xla=False):
    """A `tf.function` that calls the traced verb: saving traces endpoints anew, but so not the networks in them.

    For XLA it is the verb itself: TensorFlow inlines functions within those that XLA compiles, and then takes their
    conditionals and loops apart into operations that XLA does not know.
    """
    call, specs = live.function(name), list(graphs.signature(live.model, name).values())
    if xla:
        compiled = tf.function(call.python_function, specs, autograph=False, jit_compile=True)
        kinds = [field.kind for field in verb_of(live.model, name).inputs]
        if "seeds" not in kinds:
            return compiled
        place = kinds.index("seeds")
        # New noise is drawn outside: see `noise.fresh`.
        return tf.function(lambda *columns: compiled(*columns[:place], noise.fresh(columns[place]), *columns[place + 1:]),
                           specs, autograph=False)
    traced = call.get_concrete_function()
    return tf.function(lambda *columns: traced(*columns), specs, autograph=False)


def describe(live, names):
    """{verb: {option: {field: value}}} of the verbs `names`, for JSON."""
    return {name: {key: vars(option) for key, option in live.options[name].items()} for name in names}


def example_inputs(model, name, rows=EXAMPLE_ROWS):
    """Valid example inputs of a verb: {input name: array of `rows` rows}."""
    generator = np.random.default_rng(0)
    inputs, images = {}, [field.name for field in verb_of(model, name).inputs if field.kind == "images"]
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
            if key in images and getattr(model, "scaling", None):
                # Vectors within two standard deviations of the data.
                location, scale = map(np.array, model.scaling)
                inputs[key] = (location + scale * (4.0 * inputs[key] - 2.0)).astype("float32")
    return inputs


def run(live, name, inputs):
    """All outputs of a verb for `inputs` {input or option: values}, as of `example_inputs`."""
    required = [inputs[field.name] for field in verb_of(live, name).inputs]
    return live.outputs(name, *required, **{key: inputs[key] for key in live.options[name]})


def reference(live, names, rows=EXAMPLE_ROWS):
    """(example inputs, outputs of the model for them) of the verbs `names`, {verb: {input or output: array}} each."""
    inputs = {name: example_inputs(live.model, name, rows) for name in names}
    return inputs, {name: run(live, name, given) for name, given in inputs.items()}


def _first_rows(arrays_of):
    return {name: {key: array[:EXAMPLE_ROWS] for key, array in arrays.items()} for name, arrays in arrays_of.items()}


def verify(path, inputs_of, wanted_of, form):
    """Runs every signature as TF Serving does and compares the outputs with the model's.

    Args:
        path: folder of the SavedModel.
        inputs_of, wanted_of: {verb: {input or output: array}}, see `reference`.
        form: `serving.forms.Form`.

    Raises:
        Failure: for a verb whose output differs by more than the form's tolerance, or that XLA cannot compile.
    """
    served_of = (_served_by_xla if form.xla else _served)(path, inputs_of, wanted_of)
    for name, outputs in wanted_of.items():
        for key, wanted in outputs.items():
            if (error := difference(served_of[name][key], wanted)) > form.tolerance:
                advice = "" if form.precision == "float32" else (
                    f"; {form.precision} may differ by {form.tolerance:g} (relative above 1): leave --precision out, or "
                    f"'{name}', with --signatures {_without(name, wanted_of)}")
                raise Failure(f"the exported '{name}' differs from the model by {error:.2g} in '{key}'{advice}")


def _served(path, inputs_of, wanted_of):
    """{verb: {output: array}} of a SavedModel in a session."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        feeds, fetches = {}, {}
        for name, inputs in inputs_of.items():
            signature = loaded.signature_def[name]
            feeds |= {signature.inputs[key].name: value for key, value in inputs.items()}
            fetches[name] = {key: signature.outputs[key].name for key in wanted_of[name]}
        # One run for all: TensorFlow optimises the graph anew for every set of fetches.
        return session.run(fetches, feeds)


def _served_by_xla(path, inputs_of, wanted_of):
    """{verb: {output: array}} of a SavedModel for XLA, in a process of its own, which XLA ends where it meets a text.

    Raises:
        Failure: for a verb that XLA cannot compile.
    """
    tensors_of, served_of = tensors(path), {}
    with native.Loader() as loader:
        loader.load(path)
        for name, inputs in inputs_of.items():
            given, made = tensors_of[name]
            try:
                served_of[name] = loader.run({given[key]: value for key, value in inputs.items()},
                                             {key: made[key] for key in wanted_of[name]})
            except native.LoadError as error:
                raise Failure(f"XLA cannot compile '{name}' ({str(error)[:200]}): leave --xla out, or '{name}', with "
                              f"--signatures {_without(name, inputs_of)}") from None
    return served_of


def difference(served, wanted):
    """Largest |served - wanted| / max(1, |wanted|); infinite for another shape, or where only one of the two is finite.

    Whole numbers and truth values are equal (0) or not (infinity).
    """
    if served.shape != wanted.shape:
        return math.inf
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(served, wanted) else math.inf
    different = ~((served == wanted) | (np.isnan(served) & np.isnan(wanted)))
    served, wanted = served[different].astype(float), wanted[different].astype(float)
    if not (np.isfinite(served).all() and np.isfinite(wanted).all()):
        return math.inf
    return float(np.max(np.abs(served - wanted) / np.maximum(1.0, np.abs(wanted)), initial=0.0))


def _without(name, names):
    return ",".join(other for other in names if other != name) or "OTHERS"

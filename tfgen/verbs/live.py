"""Verbs on numpy arrays, in batches: of a model in memory (`Live`) or, in `serving.saved_model`, of a SavedModel."""

import functools

import numpy as np
import tensorflow as tf

from tfgen.data.readers.image_files import small_sources
from tfgen.errors import UserError
from tfgen.verbs.graphs import function
from tfgen.verbs.table import Text, latent_dtype, require_verb, verb_of, verbs_of


def in_batches(call, columns, batch_size):
    """Calls `call` on batches of up to `batch_size` rows of `columns`; returns the joined {output: numpy array}."""
    parts = []
    for start in range(0, len(columns[0]), batch_size):
        made = call(*(tf.convert_to_tensor(column[start:start + batch_size]) for column in columns))
        parts.append({key: value.numpy() for key, value in made.items()})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


class Verbs:
    """Runs the verbs of a model in memory (`Live`) or on disk (`serving.saved_model.Served`) on numpy arrays, in batches.

    Attributes:
        names: names of the model's verbs.
        options: {verb: {input: Option}}.
        shapes: {verb: {required input: shape of one row}}.
        image_shape, latent_shape, source_shape: shape of one image, latent or source; None if the model has none.
        coordinate_shape: (None, D) of a field with D coordinates; None for other models.
        latent_dtype: `"float32"`, or `"int64"` for latents that are codes.
        resize, small_sources: arguments `mode` and `enlarge` of `tfgen.data.readers.resize.resize` for image files of
            another size; `small_sources` applies to sources smaller than `source_shape`.
        class_names: class names of the data, or empty.
        normalised: whether `log_prob` belongs to a normalised distribution of grey levels.
    """

    resize, small_sources, class_names, normalised, latent_dtype = "stretch", "bilinear", (), True, "float32"
    coordinate_shape = None

    @property
    def vectors(self):
        """Whether rows are vectors or windows, not images or fields."""
        return len(self.image_shape) < 3 and self.coordinate_shape is None

    def tell(self, record):
        """Sets the data-dependent attributes from the record of a run or export."""
        source = record.get("data", {})
        self.resize, self.small_sources = source.get("resize", self.resize), small_sources(source)
        self.class_names = tuple(record.get("spec", {}).get("class_names", ()))

    def call(self, name, options):
        """Function (batches of the inputs and options, in order) -> {output: tensor} of a verb."""
        raise NotImplementedError(f"{type(self).__name__} must define call(name, options)")

    def outputs(self, name, *inputs, batch_size=128, **options):
        """Runs a verb and returns all its outputs.

        Args:
            name: name of the verb.
            *inputs: the verb's required inputs, one array (N, ...) each.
            batch_size: rows per batch.
            **options: options of the verb: one value, or one per row; the others use their defaults.

        Returns:
            {output: numpy array}, the main output first.

        Raises:
            UserError: for a verb or option that the model does not have, another number of inputs or rows, or a value out
                of range.
        """
        require_verb(self, name)
        verb = verb_of(self, name)
        if len(inputs) != len(verb.inputs) or len({len(rows) for rows in inputs}) > 1:
            raise UserError(f"expected {verb.call} with as many rows of each input, received "
                            f"{', '.join(str(np.shape(rows)) for rows in inputs) or 'no input'}")
        columns = [rows_of(field, rows, field.dtype(self)) for field, rows in zip(verb.inputs, inputs)]
        seeds = next((rows for field, rows in zip(verb.inputs, columns) if field.kind == "seeds"), None)
        options = resolve_options(self, name, len(inputs[0]) if inputs else 0, options, seeds)
        made = in_batches(self.call(name, options), [*columns, *options.values()], batch_size)
        return {key: made[key] for key in sorted(made, key=lambda key: (key != verb.output.name, key))}

    def __call__(self, name, *inputs, batch_size=128, **options):
        """The main output of a verb, float32; arguments and errors as for `outputs`."""
        made = self.outputs(name, *inputs, batch_size=batch_size, **options)
        return made[verb_of(self, name).output.name]


def rows_of(field, rows, dtype):
    """Rows of an input as an array of `dtype`, that of a signature; numbers of any width count as such.

    Raises:
        UserError: for fractions where a signature takes whole numbers.
    """
    rows = np.asarray(rows)
    if dtype != "int64":
        return rows.astype(dtype, copy=False) if rows.dtype.kind == "f" else rows
    if not np.issubdtype(rows.dtype, np.integer):
        raise UserError(f"'{field.name}' expects whole numbers ({field.kind}), received {rows.dtype}: give them as int64")
    return rows.astype(dtype)


class Live(Verbs):
    """The verbs of a model in memory.

    Attributes:
        model: the model.
        function: function verb -> its `tf.function`, traced once.
    """

    def __init__(self, model):
        self.model = model
        self.names = verbs_of(model)
        self.image_shape = model.image_shape
        self.latent_shape = getattr(model, "latent_shape", None)
        self.latent_dtype = latent_dtype(model)
        self.source_shape = getattr(model, "source_shape", None)
        self.coordinate_shape = getattr(model, "coordinate_shape", None)
        self.normalised = getattr(model, "normalised", True)
        self.options = {name: model.verb_options(name) for name in self.names}
        self.shapes = {name: {field.name: field.shape(model) for field in verb_of(model, name).inputs}
                       for name in self.names}
        self.function = functools.cache(functools.partial(function, model))

    def call(self, name, options):
        return self.function(name).get_concrete_function()


def resolve_options(model, name, rows, given, seeds=None):
    """{option: array of `rows` values} of a verb, from the given values and the defaults.

    An option without a default, such as a label, takes its values in turns: by the low 32 bits of `seeds` where the verb
    has seeds, so that a sample depends on its own seed alone, else, and for negative seeds, by row.

    Raises:
        UserError: for an unknown verb or option, a wrong length or a value out of range.
    """
    require_verb(model, name)
    about = model.options[name]
    if unknown := sorted(set(given) - set(about)):
        raise UserError(f"'{name}' of this model takes no option '{unknown[0]}'; "
                         f"it takes {', '.join(about) or 'none'}")
    columns = {}
    for key, option in about.items():
        value = given.get(key, option.default)
        if value is None:
            values = option.examples if isinstance(option, Text) else np.arange(option.low, option.high + 1)
            turns = np.arange(rows) if seeds is None else np.where(seeds < 0, np.arange(rows), seeds & 0xFFFFFFFF)
            # Not np.take(mode="wrap"), which wraps a large number by as many subtractions.
            value = np.asarray(values)[turns % len(values)]
        column = (_texts if isinstance(option, Text) else _numbers)(key, value, option)
        if column.ndim > 1 or (column.ndim == 1 and len(column) != rows):
            raise UserError(f"option '{key}' expects one value or {rows}, received shape {column.shape}")
        columns[key] = np.broadcast_to(column, (rows,))
    return columns


def _texts(key, value, option):
    """Texts of an option as an array; raises a `UserError` for words that it does not know."""
    column = np.asarray(value)
    if column.dtype.kind not in "UO" or not all(isinstance(text, str) for text in column.ravel()):
        raise UserError(f"option '{key}' expects texts, such as {option.examples[0]!r}, received {value!r}")
    for text in set(column.ravel().tolist()):
        option.check(key, text)
    return column


def _numbers(key, value, option):
    """Numbers of an option in its dtype; raises a `UserError` for those out of range, and fractions for integers."""
    column = _column(key, value, option)
    # Compared in the option's dtype: 0.01 differs between float32 and float64.
    low, high = np.asarray([option.low, option.high], option.dtype)
    if column.size and not (column.min() >= low and column.max() <= high):
        raise UserError(f"option '{key}' expects values in {option.low} ... {option.high}, "
                        f"received {column.min()} ... {column.max()}")
    return column


def _column(key, value, option):
    """Converts values of an option to its dtype; raises a `UserError` for fractions given to an integer option."""
    try:
        column = np.asarray(value, option.dtype)
        if np.issubdtype(column.dtype, np.integer) and not np.array_equal(column, np.asarray(value)):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        kind = "whole numbers" if np.issubdtype(option.dtype, np.integer) else "numbers"
        raise UserError(f"option '{key}' expects {kind} in {option.low} ... {option.high}, received {value!r}") from None
    return column

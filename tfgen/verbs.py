"""The table of verbs, from which export signatures, CLI sub-commands and conformance tests are derived."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgen.data.readers.image_files import small_sources
from tfgen.errors import UserError


@dataclasses.dataclass(frozen=True)
class Verb:
    """An operation of a trained model.

    Attributes:
        name: name of the model's method.
        argument: name of the first input.
        kind: type of the first input: `"images"`, `"sources"` (images of the source domain), `"latents"` or `"seeds"`.
        output: name of the main output in an exported signature.
        gives: type of the main output: `"images"`, `"sources"`, `"latents"`, `"values"` or `"maps"`.
        help: one-line description.
        further: function (model, main output) -> {name: tensor} of additional outputs.
    """

    name: str
    argument: str
    kind: str
    output: str
    gives: str
    help: str
    further: Callable = lambda model, made: {}


@dataclasses.dataclass(frozen=True)
class Option:
    """An additional input of a verb: one value per row, shape (B,).

    Attributes:
        dtype: `"int64"` or `"float32"`.
        default: used when no value is given. None assigns low, low + 1, ..., high to successive rows.
        low, high: inclusive range; an exported signature clips values to it.
        help: one-line description.
    """

    dtype: str
    default: float | int | None
    low: float | int
    high: float | int
    help: str


def verdict(model, score):
    """Additional outputs for scores (B,): whether they exceed the model's threshold, and the threshold."""
    return {"is_anomaly": score > model.threshold, "threshold": tf.broadcast_to(model.threshold, tf.shape(score))}


# A model's first verb becomes `serving_default`, so verbs without noise come first.
VERBS = {verb.name: verb for verb in (
    Verb("reconstruct", "x", "images", "images", "images", "images -> their reconstructions"),
    Verb("encode", "x", "images", "latents", "latents", "images -> latents (the mean, for a VAE) or codes"),
    Verb("decode", "z", "latents", "images", "images", "latents -> images"),
    Verb("sample", "seeds", "seeds", "images", "images", "seeds -> images; image i depends on seed i alone"),
    Verb("translate", "x", "sources", "images", "images", "images of the source domain -> images of the target domain"),
    Verb("translate_back", "x", "images", "images", "sources", "images of the target domain -> images of the source domain"),
    Verb("log_prob", "x", "images", "log_prob", "values", "images -> nats, exact or a stated bound"),
    Verb("score", "x", "images", "score", "values", "images -> anomaly scores, higher is stranger",
         verdict),
    Verb("anomaly_map", "x", "images", "maps", "maps", "images -> per-pixel anomaly"),
)}


def verbs_of(model):
    """Names of the verbs of `model`, in the order of the table."""
    return [name for name in VERBS if callable(getattr(model, name, None))]


# A model called as a Keras layer runs the first of these verbs that it has.
FORWARD = ("reconstruct", "translate", "score", "decode")


def first_shape(model, name):
    """Shape of one row of a verb's first input."""
    return {"images": lambda: model.image_shape, "sources": lambda: model.source_shape,
            "latents": lambda: model.latent_shape, "seeds": lambda: ()}[VERBS[name].kind]()


def forward(model, inputs):
    """(verb, first input, {option: values}) for a model called as a Keras layer.

    Args:
        model: a model with verbs.
        inputs: a batch of the verb's first input, or a tuple (first input, option values …) in the order of the verb's
            options; missing trailing options use their defaults.

    Raises:
        UserError: for inputs of another shape or number, and for a model without a verb in `FORWARD`.
    """
    names = verbs_of(model)
    found = [name for name in FORWARD if name in names]
    if not found:
        raise UserError(f"predict expects a model with one of {', '.join(FORWARD)}, {type(model).__name__} has "
                        f"{', '.join(names) or 'no verbs'}: call one of them")
    verb, (first, *given) = VERBS[found[0]], inputs if isinstance(inputs, (tuple, list)) else [inputs]
    wanted = tuple(first_shape(model, found[0]))
    if tuple(first.shape[1:]) != wanted:
        others = [f"{name}({VERBS[name].argument})" for name in names if name != found[0]]
        raise UserError(f"predict of {type(model).__name__} is {found[0]}, which expects {verb.kind} of shape "
                        f"{('B', *wanted)}, received {tuple(first.shape)}: give those, or call "
                        f"{' or '.join(others) or found[0]}".replace("'B'", "B"))
    options = model.verb_options(found[0])
    needed = [key for key, option in options.items() if option.default is None]
    if not len(needed) <= len(given) <= len(options):
        call = ", ".join([verb.argument, *(key if key in needed else f"{key}={options[key].default:g}" for key in options)])
        raise UserError(f"predict of {type(model).__name__} is {found[0]}({call}), received {1 + len(given)} of these: give "
                        + (f"a tuple ({', '.join([verb.argument, *options])})" if options else f"{verb.argument} alone"))
    return found[0], first, dict(zip(options, given))


def apply(model, name, first, options):
    """Main output of a verb as a float32 tensor; options are clipped to their ranges."""
    about = model.verb_options(name)
    held = {key: within(tf.cast(value, about[key].dtype), about[key]) for key, value in options.items()}
    return tf.cast(getattr(model, name)(first, **held), tf.float32)


def signature(model, name):
    """{input name: tf.TensorSpec} of a verb of `model`, with a dynamic batch dimension."""
    verb = VERBS[name]
    dtype = tf.int64 if verb.kind == "seeds" else tf.float32
    specs = {verb.argument: tf.TensorSpec((None, *first_shape(model, name)), dtype, name=verb.argument)}
    for option, about in model.verb_options(name).items():
        specs[option] = tf.TensorSpec((None,), about.dtype, name=option)
    return specs


def within(value, option):
    """Clips values (B,) of an option to its range; NaN becomes `low`."""
    low, high = (tf.constant(end, value.dtype) for end in (option.low, option.high))
    if value.dtype.is_floating:
        value = tf.where(tf.math.is_nan(value), low, value)
    return tf.clip_by_value(value, low, high)


def function(model, name):
    """A `tf.function` of a verb with its full input signature, traced once for all batch sizes.

    The graph clips options to their ranges.
    """
    specs = signature(model, name)
    verb = VERBS[name]

    @tf.function(input_signature=list(specs.values()), autograph=False)
    def call(first, *options):
        made = apply(model, name, first, dict(zip(list(specs)[1:], options)))
        return {verb.output: made} | verb.further(model, made)

    return call


def in_batches(call, columns, batch_size):
    """Calls `call` on batches of up to `batch_size` rows of `columns`; returns the joined {output: numpy array}."""
    parts = []
    for start in range(0, len(columns[0]), batch_size):
        made = call(*(tf.convert_to_tensor(column[start:start + batch_size]) for column in columns))
        parts.append({key: value.numpy() for key, value in made.items()})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


class Verbs:
    """Runs the verbs of a model in memory (`Live`) or on disk (`serving.export.Served`) on numpy arrays, in batches.

    Attributes:
        names: names of the model's verbs.
        options: {verb: {input: Option}}.
        image_shape, latent_shape, source_shape: shape of one image, latent or source; None if the model has none.
        resize, small_sources: arguments `mode` and `enlarge` of `tfgen.data.readers.resize.resize` for image files of
            another size; `small_sources` applies to sources smaller than `source_shape`.
        class_names: class names of the data, or empty.
    """

    resize, small_sources, class_names = "stretch", "bilinear", ()

    def tell(self, record):
        """Sets the data-dependent attributes from the record of a run or export."""
        source = record.get("data", {})
        self.resize, self.small_sources = source.get("resize", self.resize), small_sources(source)
        self.class_names = tuple(record.get("spec", {}).get("class_names", ()))

    def call(self, name, options):
        """Function (batch of the first input, options in order …) -> {output: tensor} of a verb."""
        raise NotImplementedError(f"{type(self).__name__} must define call(name, options)")

    def outputs(self, name, inputs, batch_size=128, **options):
        """Runs a verb and returns all its outputs.

        Args:
            name: name of the verb.
            inputs: array (N, …) of images, latents or seeds.
            batch_size: rows per batch.
            **options: options of the verb: one value, or one per row; the others use their defaults.

        Returns:
            {output: numpy array}, the main output first.

        Raises:
            UserError: for a verb or option that the model does not have, or a value out of range.
        """
        options = resolve_options(self, name, len(inputs), options)
        made = in_batches(self.call(name, options), [np.asarray(inputs), *options.values()], batch_size)
        return {key: made[key] for key in sorted(made, key=lambda key: (key != VERBS[name].output, key))}

    def __call__(self, name, inputs, batch_size=128, **options):
        """The main output of a verb, float32; arguments and errors as for `outputs`."""
        return self.outputs(name, inputs, batch_size, **options)[VERBS[name].output]


class Live(Verbs):
    """The verbs of a model in memory."""

    def __init__(self, model):
        self.model = model
        self.names = verbs_of(model)
        self.image_shape = model.image_shape
        self.latent_shape = getattr(model, "latent_shape", None)
        self.source_shape = getattr(model, "source_shape", None)
        self.options = {name: model.verb_options(name) for name in self.names}
        self._function = functools.cache(lambda name: function(model, name).get_concrete_function())

    def call(self, name, options):
        return self._function(name)


def resolve_options(model, name, rows, given):
    """{option: array of `rows` values} of a verb, from the given values and the defaults.

    Raises:
        UserError: for an unknown verb or option, a wrong length or a value out of range.
    """
    if name not in model.names:
        raise UserError(f"this model has no verb '{name}'; it has {', '.join(model.names)}")
    about = model.options[name]
    if unknown := sorted(set(given) - set(about)):
        raise UserError(f"'{name}' of this model takes no option '{unknown[0]}'; "
                         f"it takes {', '.join(about) or 'none'}")
    columns = {}
    for key, option in about.items():
        value = given.get(key, option.default)
        if value is None:
            value = option.low + np.arange(rows) % (option.high - option.low + 1)
        column = _column(key, value, option)
        if column.ndim > 1 or (column.ndim == 1 and len(column) != rows):
            raise UserError(f"option '{key}' expects one value or {rows}, received shape {column.shape}")
        # Compared in the option's dtype: 0.01 differs between float32 and float64.
        low, high = np.asarray([option.low, option.high], option.dtype)
        if column.size and not (column.min() >= low and column.max() <= high):
            raise UserError(f"option '{key}' expects values in {option.low} ... {option.high}, "
                            f"received {column.min()} ... {column.max()}")
        columns[key] = np.broadcast_to(column, (rows,))
    return columns


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

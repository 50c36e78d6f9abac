"""Verbs of a model as TensorFlow functions."""

import tensorflow as tf

from tfgen.errors import UserError
from tfgen.verbs.table import FORWARD, PUNCTUATION, Text, fits, text_of, verb_of, verbs_of


def forward(model, inputs):
    """(verb, its inputs, {option: values}) for a model called as a Keras layer.

    Args:
        model: a model with verbs.
        inputs: a batch of the verb's only input, or a tuple (inputs …, option values …) in the order of the verb's inputs
            and options; missing trailing options use their defaults.

    Raises:
        UserError: for inputs of another shape or number, and for a model without a verb in `FORWARD`.
    """
    names = verbs_of(model)
    found = [name for name in FORWARD if name in names]
    if not found:
        raise UserError(f"predict expects a model with one of {', '.join(FORWARD)}, {type(model).__name__} has "
                        f"{', '.join(names) or 'no verbs'}: call one of them")
    verb, values = verb_of(model, found[0]), list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    about = f"predict of {type(model).__name__} is {verb.name}"
    for field, value in zip(verb.inputs, values):
        if not fits(value.shape[1:], field.shape(model)):
            others = [verb_of(model, name).call for name in names if name != verb.name]
            expected = text_of("B", *field.shape(model))
            raise UserError(f"{about}, which expects {field.kind} of shape ({expected}), received {tuple(value.shape)}: "
                            f"give those, or call {' or '.join(others) or verb.name}")
    options, count = model.verb_options(verb.name), len(verb.inputs)
    needed = [key for key, option in options.items() if option.default is None]
    if not len(needed) <= len(values) - count <= len(options):
        required = [field.name for field in verb.inputs]
        call = ", ".join([*required, *(key if key in needed else f"{key}={options[key].default:g}" for key in options)])
        everything = [*required, *options]
        raise UserError(f"{about}({call}), received {len(values)} of these: give "
                        + (f"a tuple ({', '.join(everything)})" if len(everything) > 1 else f"{everything[0]} alone"))
    return verb.name, values[:count], dict(zip(options, values[count:]))


def apply(model, name, inputs, options):
    """Main output of a verb as a float32 tensor (int64 codes); options are clipped to their ranges."""
    about = model.verb_options(name)
    held = {key: value if isinstance(about[key], Text) else within(tf.cast(value, about[key].dtype), about[key])
            for key, value in options.items()}
    return tf.cast(getattr(model, name)(*inputs, **held), verb_of(model, name).output.dtype(model))


def signature(model, name):
    """{input name: tf.TensorSpec} of a verb of `model`, options last, with a dynamic batch dimension."""
    specs = {field.name: tf.TensorSpec((None, *field.shape(model)), field.dtype(model), name=field.name)
             for field in verb_of(model, name).inputs}
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
    """A `tf.function` of a verb with its full input signature, traced here, once for all batch sizes.

    The graph clips options to their ranges.
    """
    specs = signature(model, name)
    verb = verb_of(model, name)
    count = len(verb.inputs)

    @tf.function(input_signature=list(specs.values()), autograph=False)
    def call(*columns):
        made = apply(model, name, columns[:count], dict(zip(list(specs)[count:], columns[count:])))
        return {verb.output.name: made} | verb.further(model, made)

    call.get_concrete_function()
    return call


def tokens_of(texts, words, most, name):
    """Tokens of texts, string (B,): int32 (B, most), 1 + the number of each word in `words`, 0 behind the last one.

    In a graph, unknown words and texts of more than `most` words fail with the words known; `name` is that of the text.
    """
    plain = tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), f"[{PUNCTUATION}]", " ")
    split = tf.strings.split(plain).to_tensor("")
    same = split[..., None] == tf.constant(["", *words])
    right = tf.reduce_all(tf.reduce_any(same, -1), -1) & tf.reduce_all(split[:, most:] == "", -1)
    bad = tf.strings.reduce_join(tf.boolean_mask(texts, ~right)[:1])
    about = f"{name} expects at most {most} of the words {', '.join(words)}; received: "
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [tf.strings.join([about, bad])])]):
        found = tf.argmax(tf.cast(same, tf.int32), -1, tf.int32)[:, :most]
    rest = tf.zeros((tf.shape(found)[0], most - tf.shape(found)[1]), tf.int32)
    return tf.ensure_shape(tf.concat([found, rest], 1), (None, most))

"""Verbs as graphs for edge runtimes: weights as constants, inputs of 32 bits, noise in float32 arithmetic."""

import contextlib
import functools
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfgen import float_noise, frozen, noise
from tfgen.errors import require
from tfgen.verbs import Text, graphs, verb_of

# Options of more than 32 bits are seeds.
WIDE = 2**31


class EdgeGraph:
    """A verb of a model as a graph whose outputs are those of the model.

    Inputs differ from those of a SavedModel: whole numbers are int32, seeds are int32 (B, 4), see `float_noise.words_of`,
    and none is negative. Whole numbers of outputs are int32, too.

    Attributes:
        name: name of the verb.
        inputs: {input or option: tf.TensorSpec}.
        seeds: names of the inputs that are words of seeds.
        fixed: {option: text} of texts with a default, such as a sampler: the graph is of that one.
        outputs: names of the outputs, sorted.
        frozen: `tf.types.experimental.ConcreteFunction` of the inputs without variables, which gives the outputs in order.

    Args:
        model: a model with verbs.
        name: name of the verb.

    Raises:
        UserError: for a verb that takes texts without a default, or noise of seeds that its graph computes.
    """

    def __init__(self, model, name):
        verb, options = verb_of(model, name), model.verb_options(name)
        self.fixed = {key: option.examples[0] for key, option in options.items() if isinstance(option, Text)}
        texts = [key for key in self.fixed if len(options[key].examples) > 1]
        require(not texts, f"takes a text ('{', '.join(texts)}')")
        self.name = name
        self.seeds = {field.name for field in verb.inputs if field.kind == "seeds"} | {
            key for key, option in options.items() if key not in self.fixed and option.high >= WIDE}
        self.inputs = {key: self._narrow(key, spec) for key, spec in graphs.signature(model, name).items()
                       if key not in self.fixed}
        outputs = functools.partial(self._outputs, model, verb, options)
        call = tf.function(outputs, list(self.inputs.values()), autograph=False)
        concrete = call.get_concrete_function()
        self.outputs = sorted(concrete.structured_outputs)
        self.frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)

    def _narrow(self, key, spec):
        shape = (None, float_noise.WORDS) if key in self.seeds else spec.shape
        return tf.TensorSpec(shape, tf.int32 if spec.dtype == tf.int64 else spec.dtype, name=key)

    def _outputs(self, model, verb, options, *columns):
        floats, given = float_noise.Floats(), dict(self.fixed)
        for (key, spec), column in zip(self.inputs.items(), columns):
            if key in self.seeds:
                given[key] = floats.named(column)
            elif key in options:
                given[key] = graphs.within(tf.cast(column, options[key].dtype), options[key])
            else:
                given[key] = tf.cast(column, tf.int64) if spec.dtype == tf.int32 else column
        required = [given.pop(field.name) for field in verb.inputs]
        with noise.computed_by(floats), frozen.weights():
            made = tf.cast(getattr(model, verb.name)(*required, **given), verb.output.dtype(model))
            made = {verb.output.name: made} | verb.further(model, made)
        return {key: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value for key, value in made.items()}

    @contextlib.contextmanager
    def saved_model(self):
        """Context manager: the folder of a SavedModel of the graph, its signature the default one."""
        with tempfile.TemporaryDirectory() as folder:
            module = tf.Module()
            module.call = tf.function(lambda **given: dict(zip(self.outputs, tf.nest.flatten(
                self.frozen(*(given[key] for key in self.inputs))))), autograph=False)
            # Frozen functions have no gradients to save.
            tf.saved_model.save(module, folder, module.call.get_concrete_function(**self.inputs),
                                tf.saved_model.SaveOptions(experimental_custom_gradients=False))
            yield pathlib.Path(folder)


def narrowed(inputs, seeds):
    """Inputs of a model as its edge graphs take them: {input: array} of at most 32 bits.

    Whole numbers out of their range become its nearest end, as the graphs do with options out of theirs.

    Args:
        inputs: {input or option: array}, as for the model.
        seeds: names of those that are seeds.

    Raises:
        UserError: for negative seeds.
    """
    range32 = np.iinfo(np.int32)
    return {key: float_noise.words_of(value) if key in seeds else
            np.clip(value, range32.min, range32.max).astype(np.int32) if np.asarray(value).dtype == np.int64 else value
            for key, value in inputs.items()}

"""A causal network evaluated row by row and pixel by pixel, derived from its Functional graph."""

import keras
import tensorflow as tf

from tfgen.layers.causal import PIXEL, ROW, CausalLayer

BATCH = "batch"
_RATES = (BATCH, ROW, PIXEL)

# Operations whose output at a pixel is a function of the inputs at that pixel, by name of their class.
_POINTWISE = {"Activation", "Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Average", "Negative", "Dense",
              "ReLU", "LeakyReLU", "ELU", "Relu", "Elu", "Gelu", "Silu", "Tanh", "Sigmoid", "Softplus", "Exp", "Square",
              "Dropout", "Rescaling", "Identity", "Cast"}
_ON_CHANNELS = {"Concatenate", "Split", "LayerNormalization", "Softmax"}


def pointwise(operation):
    """Whether an operation of a Functional model treats each pixel alone, so that it may be applied to any part of a map."""
    kind = type(operation).__name__
    if getattr(operation, "pointwise", False) or kind in _POINTWISE:
        return True
    if kind in _ON_CHANNELS:
        axis = operation.axis
        return (axis[0] if isinstance(axis, (tuple, list)) and len(axis) == 1 else axis) in (-1, 3)
    return isinstance(operation, keras.layers.Conv2D) and operation.kernel_size == operation.strides == (1, 1)


def _takes_no_maps(node):
    """Whether the constants among the arguments of an operation are the same for all pixels."""
    given = tf.nest.flatten([list(node.arguments.args), dict(node.arguments.kwargs)])
    constants = [x for x in given if hasattr(x, "shape") and not isinstance(x, keras.KerasTensor)]
    return all(len(x.shape) < 2 or set(x.shape[:-1]) == {1} for x in constants)


class NotIncremental(Exception):
    """A network with an operation whose incremental form is not known."""


class Incremental:
    """The incremental form of a Functional model of causal layers and pointwise operations.

    Each tensor has a rate, at which its values become known: once per batch (what depends on the condition alone: labels or
    maps), row by row (the vertical stack of a PixelCNN) or pixel by pixel. Causal layers determine the rate of their
    outputs; the output of a pointwise operation has the highest rate of its inputs. On a coarser grid, values count at the
    first pixel of each cell; in between they are arbitrary, and states stay.

    Args:
        network: Functional model, images (B, H, W, C) or [images, condition] -> (B, H, W, parameters).

    Raises:
        NotIncremental: for another operation, or a layer on the image that is not strict.
    """

    def __init__(self, network):
        self.image, *self.labels = network.inputs
        self.output = network.outputs[0]
        self.rate = {id(self.image): PIXEL} | {id(label): BATCH for label in self.labels}
        # Tensors that depend on the pixel itself: complete when it has been drawn.
        self.open = {id(self.image)}
        self.nodes = {name: [] for name in _RATES}
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if node.operation and not node.is_input:
                    self._add(node)
        if id(self.output) in self.open:
            raise NotIncremental("the parameters of a pixel depend on the pixel itself")
        used = {id(x) for node in self.nodes[PIXEL] for x in node.input_tensors} | {id(self.output)}
        # Tensors known by the row that pixels need, and tensors known by the pixel that layers of rows need.
        self.row_values = [key for key in used if self.rate[key] == ROW]
        # Maps of the image's grid that depend on the condition alone, of which a row or pixel takes its part.
        fed = {id(x): x for name in (ROW, PIXEL) for node in self.nodes[name] for x in node.input_tensors}
        grid = tuple(self.image.shape[1:3])
        self.maps = [key for key, x in fed.items() if self.rate[key] == BATCH and len(x.shape) == 4
                     and tuple(x.shape[1:3]) == grid]
        self.row_values += [key for key in self.maps if key in used]
        outputs = [self.output, *(x for node in self.nodes[ROW] for x in node.outputs)]
        self.strides = {id(x): self.stride(x) for x in outputs} | dict.fromkeys(self.maps, 1)
        self.buffered = {id(x): x for node in self.nodes[ROW] for x in node.input_tensors if self.rate[id(x)] == PIXEL}

    def _add(self, node):
        layer, keys = node.operation, [id(x) for x in node.input_tensors]
        highest = max((self.rate[key] for key in keys), key=_RATES.index)
        late = self.open.intersection(keys)
        if isinstance(layer, CausalLayer):
            if self._step_size(node) > 1 and type(layer).end_row is not CausalLayer.end_row:
                raise NotIncremental(f"{layer.name} expects the grid of the image")
            if not layer.strict and (late or (layer.rate == ROW and highest == PIXEL)):
                raise NotIncremental(f"{layer.name} takes pixels that are not yet known")
            rate = layer.rate
        elif highest != BATCH and not (pointwise(layer) and _takes_no_maps(node)):
            raise NotIncremental(f"{layer.name} is neither causal nor pointwise")
        else:
            rate = highest
            self.open |= {id(x) for x in node.outputs if late}
        self.nodes[rate].append(node)
        self.rate |= {id(x): rate for x in node.outputs}

    def _causal(self, name):
        """[(number of the node, node)] of the causal layers of a rate; the numbers are the keys of their states."""
        return [(index, node) for index, node in enumerate(self.nodes[name]) if isinstance(node.operation, CausalLayer)]

    def _late(self, name, node):
        """Whether the input of a causal layer is complete only after its output was used."""
        key = id(node.input_tensors[0])
        return key in self.open or (name == ROW and self.rate[key] == PIXEL)

    def stride(self, x):
        """Pixels of the image per cell of the tensor's grid, in each direction."""
        grid, image = tuple(x.shape[1:3]), self.image.shape[1:3]
        strides = (2**power for power in range(10))
        coarser = len(x.shape) == 4 and self.rate.get(id(x)) != BATCH
        return next((s for s in strides if tuple(-(-side // s) for side in image) == grid), 1) if coarser else 1

    def _step_size(self, node):
        """Pixels from one step of a causal layer to the next."""
        return min(self.stride(x) for x in (node.input_tensors[0], node.outputs[0]))

    def start(self, batch):
        """(states of the layers of rows, states of the layers of pixels) before the first pixel of `batch` images."""
        return tuple({index: node.operation.start(batch) for index, node in self._causal(name)} for name in (ROW, PIXEL))

    def per_batch(self, labels):
        """{tensor: value} of what depends on the condition alone. labels: int (B,) or another condition, or None without."""
        values = {id(x): labels for x in self.labels}
        for node in self.nodes[BATCH]:
            _apply(node, values)
        return values

    def begin_row(self, constants, states, row, batch):
        """What is known of a row before its pixels.

        Args:
            constants, states: of `per_batch`, and of `start` or the previous row's `end_row`.
            row: int32 scalar.
            batch: number of images.

        Returns:
            ({tensor: (B, 1, W, channels)} of what pixels need, states of the layers of rows, and of those of pixels).
        """
        of_rows, of_pixels = states
        # Strict layers take nothing of the row itself.
        values = constants | {key: constants[key][:, row, None] for key in self.maps}
        values |= {key: tf.zeros((batch, 1, *x.shape[2:])) for key, x in self.buffered.items()}
        of_rows = self._run(ROW, values, of_rows, (row,))
        of_pixels = {index: node.operation.begin_row(of_pixels[index], row) for index, node in self._causal(PIXEL)}
        return {key: values[key] for key in self.row_values}, of_rows, of_pixels

    def end_row(self, of_rows, of_pixels, buffered, row):
        """States after a row. buffered: {tensor: (B, 1, W, channels)} of the `buffered` tensors."""
        of_rows = of_rows | {index: self._step(node, buffered, of_rows[index], (row,))[1]
                             for index, node in self._causal(ROW) if self._late(ROW, node)}
        return of_rows, {index: node.operation.end_row(of_pixels[index], row) for index, node in self._causal(PIXEL)}

    def pixel(self, constants, row_values, states, pixel, at):
        """Output and states at one pixel.

        Args:
            constants, row_values, states: of `per_batch`, of `begin_row`, and of that or the previous pixel.
            pixel: the image there, (B, 1, 1, C); channels that are not yet known are arbitrary.
            at: (row, column).

        Returns:
            (parameters (B, 1, 1, channels), {tensor: value}, new states).
        """
        values = constants | {key: value[:, :, at[1] // self.strides[key], None] for key, value in row_values.items()}
        values[id(self.image)] = pixel
        states = self._run(PIXEL, values, states, at)
        return values[id(self.output)], values, states

    def end_pixel(self, values, states, pixel, at):
        """({tensor: value}, new states) after a pixel was drawn. values, states: of `pixel`; pixel: all its channels."""
        values = values | {id(self.image): pixel}
        for node in self.nodes[PIXEL]:
            if not isinstance(node.operation, CausalLayer) and id(node.outputs[0]) in self.open:
                _apply(node, values)
        return values, states | {index: self._step(node, values, states[index], at)[1]
                                 for index, node in self._causal(PIXEL) if self._late(PIXEL, node)}

    def _run(self, name, values, states, at):
        """Adds the outputs of a rate's operations to `values`; returns the new states of layers with complete inputs."""
        made = dict(states)
        for index, node in enumerate(self.nodes[name]):
            if isinstance(node.operation, CausalLayer):
                values[id(node.outputs[0])], state = self._step(node, values, states[index], at)
                if not self._late(name, node):
                    made[index] = state
            else:
                _apply(node, values)
        return made

    def _step(self, node, values, state, at):
        """(output, new state) of a causal layer; between its steps on a coarser grid the state stays."""
        layer, size = node.operation, self._step_size(node)
        x = tf.cast(values[id(node.input_tensors[0])], layer.compute_dtype)
        output, new = layer.step(x, state, tuple(place // size for place in at), **node.arguments.kwargs)
        if size > 1:
            due = tf.reduce_all([place % size == 0 for place in at])
            new = tf.nest.map_structure(lambda new, old: tf.where(due, new, old), new, state)
        return output, new


def _apply(node, values):
    args, kwargs = node.arguments.fill_in(values)
    outputs = tf.nest.flatten(node.operation(*args, **kwargs))
    values |= {id(x): value for x, value in zip(node.outputs, outputs, strict=True)}

"""What every bijector promises, and their composition."""

import keras
from keras import ops

from tfgen.errors import UserError, require
from tfgen.serialization import serializable


class Bijector(keras.layers.Layer):
    """An invertible map z = f(x) of events with its log-determinant log |det df/dx|.

    A batch is x of shape (B, *event), where the event is a vector (D,) or an image (H, W, C); each row is mapped on its own,
    but for batch statistics in training. A subclass writes `forward_and_log_det` and `inverse`, creates its weights in
    `build((None, *event))`, and `compute_output_shape` if z has another shape than x. The rest derives: a chain is a
    bijector, and a bijector is a Keras layer whose call is x -> z.

    dtype: results have that of x, which is that of the weights: float32 by default, float64 for layers of that dtype.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Values reach 1e4 nats per image: networks may compute in bfloat16, bijectors do not.
        self.autocast = False

    def forward_and_log_det(self, x, context=None, training=False):
        """z and log |det df/dx|: (B, *event) -> (B, *output event), (B,) in nats.

        Args:
            x: batch of events.
            context: what a conditional bijector's networks also take, (B, …), or None.
            training: whether batch statistics replace running averages, and a first batch sets data-dependent weights.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward_and_log_det(x, context, training)")

    def inverse(self, z, context=None):
        """x with f(x) = z outside of training: (B, *output event) -> (B, *event)."""
        raise NotImplementedError(f"{type(self).__name__} must define inverse(z, context)")

    def call(self, x, training=False):
        return self.forward_and_log_det(x, training=training)[0]

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def build_once(layer, shape):
    """Builds a layer for (None, *event), unless a file has built it already."""
    if not layer.built:
        layer.build(tuple(shape))


def sum_event(values):
    """(B, *event) -> (B,)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


def per_row(value, x):
    """A scalar log-determinant, the same for every row of x: (B,)."""
    return ops.broadcast_to(ops.cast(value, x.dtype), (ops.shape(x)[0],))


def positions(shape):
    """Number of positions of an event that share the weights of a channel: H W for (B, H, W, C), 1 for (B, D)."""
    count = 1
    for side in shape[1:-1]:
        count *= side
    return count


@serializable
class Chain(Bijector):
    """f = f_n ∘ … ∘ f_1, with log |det df/dx| = sum_i log |det df_i|.

    Args:
        bijectors: [f_1, …, f_n], in the order from data to latents.
    """

    def __init__(self, bijectors, **kwargs):
        super().__init__(**kwargs)
        require(bijectors and all(isinstance(part, Bijector) for part in bijectors),
                f"Chain expects at least one Bijector and nothing else, received "
                f"{[type(part).__name__ for part in bijectors]}")
        self.bijectors = list(bijectors)

    def build(self, input_shape):
        for part in self.bijectors:
            build_once(part, input_shape)
            input_shape = part.compute_output_shape(input_shape)

    def forward_and_log_det(self, x, context=None, training=False):
        total = 0.0
        for part in self.bijectors:
            x, log_det = part.forward_and_log_det(x, context, training)
            total = total + log_det
        return x, total

    def inverse(self, z, context=None):
        for part in reversed(self.bijectors):
            z = part.inverse(z, context)
        return z

    def compute_output_shape(self, input_shape):
        for part in self.bijectors:
            input_shape = part.compute_output_shape(input_shape)
        return tuple(input_shape)


def check_event(name, shape, rank):
    """Raises a `UserError` unless events have `rank` dimensions."""
    if len(shape) != rank + 1:
        kind = {1: "vectors (B, D)", 3: "images (B, H, W, C)"}[rank]
        raise UserError(f"{name} expects {kind}, received shape {tuple(shape)}: add Flatten or Squeeze where they belong")

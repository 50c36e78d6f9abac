"""Bijectors that move values: squeezing, flattening, permuting, factoring out."""

import math

import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.distributions.bijectors.base import Bijector, build_once, check_event, per_row, sum_event
from tfgen.errors import require
from tfgen.serialization import serializable


class _Rearrangement(Bijector):
    """A bijector that moves values and changes none: log |det df/dx| = 0. A subclass writes `forward` and `inverse`."""

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} must define forward(x)")

    def forward_and_log_det(self, x, context=None, training=False):
        return self.forward(x), per_row(0.0, x)


@serializable
class Squeeze(_Rearrangement):
    """Each 2x2 block of pixels becomes one pixel: (H, W, C) -> (H / 2, W / 2, 4 C) (Dinh et al., 2017, section 3.6).

    Channel (2 i + j) C + c is that of row i, column j of the block, so that halves of the channels are rows of blocks,
    which a checkerboard does not separate.

    Raises:
        UserError: for a side that is odd.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        check_event("Squeeze", input_shape, 3)
        height, width = input_shape[1:3]
        require(height % 2 == 0 and width % 2 == 0,
                f"Squeeze expects even sides, received {height}x{width} pixels: use fewer levels or another image_size")

    def forward(self, x):
        return tf.nn.space_to_depth(x, 2)

    def inverse(self, z, context=None):
        return tf.nn.depth_to_space(z, 2)

    def compute_output_shape(self, input_shape):
        rows, height, width, channels = input_shape
        return (rows, height // 2, width // 2, 4 * channels)


@serializable
class Flatten(_Rearrangement):
    """Images -> vectors: (H, W, C) -> (H W C,)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.event = tuple(input_shape[1:])

    def forward(self, x):
        return ops.reshape(x, (-1, math.prod(self.event)))

    def inverse(self, z, context=None):
        return ops.reshape(z, (-1, *self.event))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], math.prod(input_shape[1:]))


@serializable
class Permutation(_Rearrangement):
    """z_j = x_(order_j) along the last axis.

    Args:
        order: `"reverse"`, `"even_odd"` (even positions, then odd ones) or a list of all positions.

    Raises:
        UserError: for a list that is no permutation of the positions.
    """

    def __init__(self, order="reverse", **kwargs):
        super().__init__(**kwargs)
        self.order = order

    def build(self, input_shape):
        count = input_shape[-1]
        known = {"reverse": range(count)[::-1], "even_odd": [*range(0, count, 2), *range(1, count, 2)]}
        places = known.get(self.order) if isinstance(self.order, str) else self.order
        require(places is not None and sorted(places) == list(range(count)),
                f"Permutation(order) expects 'reverse', 'even_odd' or each of 0 ... {count - 1} once, received {self.order}")
        self.places = np.array(places, np.int32)

    def forward(self, x):
        return tf.gather(x, self.places, axis=-1)

    def inverse(self, z, context=None):
        return tf.gather(z, np.argsort(self.places).astype(np.int32), axis=-1)


@serializable
class Split(Bijector):
    """Factors out half of the channels: (a, b) = x, z = (flat a', flat inner(b)) (Dinh et al., 2017, section 3.6).

    b is the first half of the channels, to which `inner` (the flow's next scale) applies; a, the second, becomes latent.
    Without `network` a' = a. With it a is standardised by a Gaussian whose parameters depend on b, the learned prior of
    Kingma & Dhariwal's code (2018): a' = (a - mean(b)) exp(-log_sigma(b)), log |det| = log |det inner| - sum log_sigma.

    Args:
        inner: Bijector of images with half the channels.
        network: Functional model, b (B, H, W, C / 2) -> (B, H, W, C): mean, then log sigma of a; or None.

    Raises:
        UserError: for an odd number of channels.
    """

    def __init__(self, inner, network=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner
        self.network = network

    def build(self, input_shape):
        check_event("Split", input_shape, 3)
        rows, height, width, channels = input_shape
        require(channels % 2 == 0, f"Split expects an even number of channels, received {channels}: squeeze first")
        self.factored = (height, width, channels // 2)
        half = (rows, *self.factored)
        build_once(self.inner, half)
        self.inner_event = tuple(self.inner.compute_output_shape(half)[1:])

    def standardised_by(self, b, training=False):
        """Mean and log sigma of the factored half: two of its shape."""
        return ops.split(ops.cast(self.network(b, training=training), b.dtype), 2, axis=-1)

    def forward_and_log_det(self, x, context=None, training=False):
        b, a = ops.split(x, 2, axis=-1)
        z, log_det = self.inner.forward_and_log_det(b, context, training)
        if self.network is not None:
            mean, log_sigma = self.standardised_by(b, training)
            a = (a - mean) * ops.exp(-log_sigma)
            log_det = log_det - sum_event(log_sigma)
        parts = [ops.reshape(part, (-1, math.prod(part.shape[1:]))) for part in (a, z)]
        return ops.concatenate(parts, axis=-1), log_det

    def inverse(self, z, context=None):
        count = math.prod(self.factored)
        a = ops.reshape(z[:, :count], (-1, *self.factored))
        b = self.inner.inverse(ops.reshape(z[:, count:], (-1, *self.inner_event)), context)
        if self.network is not None:
            mean, log_sigma = self.standardised_by(b)
            a = mean + ops.exp(log_sigma) * a
        return ops.concatenate([b, a], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], math.prod(input_shape[1:]))

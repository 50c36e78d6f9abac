"""Coupling layers: one part of the values moves by what a network makes of the other part."""

import numpy as np
from keras import ops

from tfgen.distributions.bijectors.base import Bijector, check_event, per_row, sum_event
from tfgen.errors import require
from tfgen.serialization import serializable


class Coupling(Bijector):
    """z_held = x_held, z_moved = g(x_moved; network(x_held)).

    Args:
        network: Functional model of the held values. With `mask="channels"` it takes those, (B, …, held channels), and gives
            `parameters` times the moved channels. With `mask="checkerboard"` it takes (B, H, W, C + 1), the images with
            zeros where pixels move and the mask, and gives (B, H, W, `parameters` C). A conditional one takes
            [those, context].
        mask: `"channels"`: halves of the last axis, of which the first is held (the larger one, of an odd number);
            `"checkerboard"`: pixels with an even sum of row and column are held.
        invert: exchange held and moved values.

    Raises:
        UserError: for another mask, or a network whose shapes do not fit.
    """

    parameters = 1

    def __init__(self, network, mask="channels", invert=False, **kwargs):
        super().__init__(**kwargs)
        require(mask in ("channels", "checkerboard"),
                f"{type(self).__name__}(mask) expects 'channels' or 'checkerboard', received {mask!r}")
        self.network = network
        self.mask = mask
        self.invert = invert

    def build(self, input_shape):
        channels = input_shape[-1]
        if self.mask == "checkerboard":
            check_event("a checkerboard", input_shape, 3)
            rows, columns = np.ogrid[:input_shape[1], :input_shape[2]]
            self.held = (((rows + columns) % 2 == 1) == self.invert)[None, :, :, None]
            taken, moved = channels + 1, channels
        else:
            require(channels > 1, f"{type(self).__name__} expects at least 2 channels to halve, received {channels}: "
                                  f"squeeze first, or use mask='checkerboard'")
            self.first = (channels + 1) // 2
            first, second = self.first, channels - self.first
            taken, moved = (second, first) if self.invert else (first, second)
        shapes = self.network.inputs[0].shape[-1], self.network.outputs[0].shape[-1]
        require(shapes == (taken, self.parameters * moved),
                f"{type(self).__name__} of {channels} channels expects a network from {taken} to {self.parameters * moved} "
                f"channels, received one from {shapes[0]} to {shapes[1]}")

    def divide(self, x):
        """(held, moved); of a checkerboard both have the shape of x, with zeros at the other's pixels."""
        if self.mask == "checkerboard":
            held = ops.cast(self.held, x.dtype)
            return x * held, x * (1.0 - held)
        parts = x[..., :self.first], x[..., self.first:]
        return parts[::-1] if self.invert else parts

    def join(self, held, moved):
        if self.mask == "checkerboard":
            return held + moved
        return ops.concatenate([moved, held] if self.invert else [held, moved], axis=-1)

    def of_network(self, held, context, training):
        """The network's parameters, of a checkerboard 0 where pixels are held."""
        x = held
        if self.mask == "checkerboard":
            mask = ops.cast(self.held, held.dtype)
            x = ops.concatenate([held, ops.broadcast_to(mask, (ops.shape(held)[0], *mask.shape[1:]))], axis=-1)
        made = self.network(x if context is None else [x, context], training=training)
        made = ops.cast(made, held.dtype)
        return made * (1.0 - mask) if self.mask == "checkerboard" else made


@serializable
class AdditiveCoupling(Coupling):
    """z_moved = x_moved + shift(x_held); log |det| = 0 (Dinh et al., 2015, section 3.2). Arguments as for `Coupling`."""

    def __init__(self, network, mask="channels", invert=False, **kwargs):
        super().__init__(network, mask, invert, **kwargs)

    def forward_and_log_det(self, x, context=None, training=False):
        held, moved = self.divide(x)
        return self.join(held, moved + self.of_network(held, context, training)), per_row(0.0, x)

    def inverse(self, z, context=None):
        held, moved = self.divide(z)
        return self.join(held, moved - self.of_network(held, context, False))


@serializable
class AffineCoupling(Coupling):
    """z_moved = x_moved exp(s) + t, (t, s) = network(x_held); log |det| = sum s (Dinh et al., 2017, section 3.2).

    Arguments as for `Coupling`; the network gives shifts t, then log scales s, which it keeps within bounds itself.
    """

    parameters = 2

    def __init__(self, network, mask="channels", invert=False, **kwargs):
        super().__init__(network, mask, invert, **kwargs)

    def forward_and_log_det(self, x, context=None, training=False):
        held, moved = self.divide(x)
        shift, log_scale = ops.split(self.of_network(held, context, training), 2, axis=-1)
        return self.join(held, moved * ops.exp(log_scale) + shift), sum_event(log_scale)

    def inverse(self, z, context=None):
        held, moved = self.divide(z)
        shift, log_scale = ops.split(self.of_network(held, context, False), 2, axis=-1)
        return self.join(held, (moved - shift) * ops.exp(-log_scale))

"""Fields: a network from coordinates to values, fitted to the samples of one signal."""

import math

import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import require
from tfgen.losses.differential import Value
from tfgen.models.base.generative import GenerativeModel
from tfgen.serialization import serializable


def psnr_db(mse):
    """Peak signal-to-noise ratio in dB of a batch of values in [0, 1]: -10 log10(mse)."""
    return -10.0 / math.log(10.0) * ops.log(ops.maximum(replicas.mean(mse), 1e-12))


@serializable
class Field(GenerativeModel):
    """Minimises E |observe(field, x) - y|^2 over the samples (x, y) of a signal.

    With `Value`, the field is fitted to the signal's values; with another operator of `tfgen.losses.differential` to
    observed derivatives, such as gradients, which define the signal implicitly (Sitzmann et al., 2020: Poisson's equation).

    Args:
        network: Functional model, coordinates (B, D) in [-1, 1] -> values (B, C).
        image_shape: shape of the signal that the field is fitted to, (*grid, C): (H, W, C) for an image, (T, C) for audio.
        observe: operator `(field, coordinates (B, D)) -> (B, K)`.

    Batches are (coordinates (B, D), observed y (B, K)). Squares are averaged over values and samples. `Value` also reports
    `psnr_db`, the mean over batches.

    Raises:
        UserError: if the network does not fit the signal.
    """

    def __init__(self, network, image_shape, observe=Value(), **kwargs):
        self.loss_names = observe.readings
        super().__init__(**kwargs)
        wanted = (len(image_shape) - 1,), (image_shape[-1],)
        received = tuple(network.inputs[0].shape[1:]), tuple(network.outputs[0].shape[1:])
        require(received == wanted, f"expected a network from {wanted[0]} to {wanted[1]} for a signal of "
                                    f"{tuple(image_shape)}, received one from {received[0]} to {received[1]}")
        self.network = network
        self.image_shape = tuple(image_shape)
        self.observe = observe
        self.built = True

    @property
    def coordinate_shape(self):
        return (None, *self.network.inputs[0].shape[1:])

    def compute_losses(self, batch, training):
        x, y = batch
        made = self.observe(lambda at: ops.cast(self.network(at, training=training), "float32"), x)
        mse = ops.mean(ops.square(made - y))
        return {"loss": mse} | {name: psnr_db(mse) for name in self.observe.readings}

    def decode(self, coordinates):
        """Values (B, N, C) at N coordinates per row, (B, N, D)."""
        made = self.network(tf.reshape(coordinates, (-1, coordinates.shape[-1])), training=False)
        return tf.reshape(made, (*tf.unstack(tf.shape(coordinates)[:2]), self.image_shape[-1]))

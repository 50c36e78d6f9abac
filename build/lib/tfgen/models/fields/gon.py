"""Gradient origin networks: autoencoders without an encoder, whose latent is a gradient at the origin."""

import tensorflow as tf
from keras import ops

from tfgen import coordinates
from tfgen.errors import require
from tfgen.models.base.generative import GenerativeModel
from tfgen.models.fields.field import psnr_db
from tfgen.serialization import serializable


@serializable
class GON(GenerativeModel):
    """Implicit gradient origin network (Bond-Taylor & Willcocks, 2021): one step from the origin gives the latent.

        z(x) = -step * d E(x, z) / dz at z = 0,   E(x, z) = sum over places s of |network([s, z]) - x_s|^2 / C,
        loss = mean over images and places of E

    The gradient of the loss passes through z(x), which needs second derivatives of the network. E is of one image, so that
    a latent does not depend on its batch.

    Args:
        network: Functional model, coordinates and latent (P, D + d), joined -> values (P, C), see `networks.siren`.
        image_shape: (H, W, C) of the images, whose places have the coordinates of `tfgen.coordinates.grid`, D = 2.
        step: factor of the gradient, > 0; 1/64 is that of the authors' code, whose loss is averaged over 64 images.

    Reported: `psnr_db` of reconstructions, the mean over batches. `at` decodes at any coordinates.

    Raises:
        UserError: if the network does not fit the images.
    """

    loss_names = ("psnr_db",)

    def __init__(self, network, image_shape, step=1.0 / 64.0, **kwargs):
        super().__init__(**kwargs)
        inputs, outputs = network.inputs[0].shape[-1], tuple(network.outputs[0].shape[1:])
        require(inputs > 2 and outputs == (image_shape[-1],),
                f"expected a network from 2 coordinates and a latent to ({image_shape[-1]},) for images of "
                f"{tuple(image_shape)}, received one from {inputs} inputs to {outputs}")
        require(step > 0, f"expected step > 0, received {step}")
        self.network = network
        self.image_shape = tuple(image_shape)
        self.step = step
        self.built = True

    @property
    def latent_shape(self):
        return (self.network.inputs[0].shape[-1] - 2,)

    def at(self, z, places, training=False):
        """Values (B, N, C) of latents (B, d) at coordinates (N, 2) in [-1, 1]."""
        rows, count = tf.shape(z)[0], tf.shape(places)[0]
        pairs = tf.concat([tf.tile(places[None], (rows, 1, 1)), tf.repeat(z[:, None], count, axis=1)], axis=-1)
        made = self.network(tf.reshape(pairs, (-1, pairs.shape[-1])), training=training)
        return tf.reshape(ops.cast(made, "float32"), (rows, count, self.image_shape[-1]))

    def images(self, z, training=False):
        """The field of each latent on the grid of the images, (B, H, W, C), not clipped."""
        return tf.reshape(self.at(z, coordinates.grid(self.image_shape[:2]), training), (-1, *self.image_shape))

    def latent(self, x, training=False):
        """z(x), differentiable in the network's weights: float32 (B, d)."""
        origin = tf.zeros((tf.shape(x)[0], *self.latent_shape))
        with tf.GradientTape() as tape:
            tape.watch(origin)
            error = tf.reduce_sum(tf.reduce_mean(tf.square(self.images(origin, training) - x), axis=-1))
        return -self.step * tape.gradient(error, origin)

    def compute_losses(self, batch, training):
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        mse = ops.mean(ops.square(self.images(self.latent(x, training), training) - x))
        return {"loss": mse, "psnr_db": psnr_db(mse)}

    def encode(self, x):
        return self.latent(x)

    def decode(self, z):
        return tf.clip_by_value(self.images(z), 0.0, 1.0)

    def reconstruct(self, x):
        return self.decode(self.encode(x))

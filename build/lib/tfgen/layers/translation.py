"""Layers of image-to-image translation that Keras does not have."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.errors import UserError
from tfgen.serialization import serializable


@serializable
class ReflectionPadding2D(keras.layers.Layer):
    """Reflection padding: mirrors `size` pixels beyond each side, without repeating the border pixel.

    Args:
        size: number of pixels, >= 0 and less than both sides of the image.
    """

    def __init__(self, size=1, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        _, height, width, _ = x.shape
        if self.size and min(height or 0, width or 0) >= 2 * self.size + 2:
            return reflected(x, self.size)
        pad = (self.size, self.size)
        return ops.pad(x, ((0, 0), pad, pad, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        rows, height, width, channels = input_shape
        return (rows, height + 2 * self.size, width + 2 * self.size, channels)


def reflected(x, size):
    """Images with `size` reflected pixels at each side, for sides of at least 2 size + 2; implemented by slices.

    TensorFlow's reflection padding and its gradient take two to three times as long on a CPU.
    """

    def rows(x, axis, start, stop):
        return x[:, start:stop] if axis == 1 else x[:, :, start:stop]

    def mirrored(x, axis, start, stop):
        x = rows(x, axis, start, stop)
        return tf.reverse(x, [axis]) if size > 1 else x

    def pad(x, axis):
        side = x.shape[axis]
        return tf.concat([mirrored(x, axis, 1, size + 1), x, mirrored(x, axis, side - size - 1, side - 1)], axis)

    def fold(g, axis):
        """The gradient of `pad`: adds the gradient of reflected pixels to their originals."""
        end = g.shape[axis] - size
        return tf.concat([
            rows(g, axis, size, size + 1),
            rows(g, axis, size + 1, 2 * size + 1) + mirrored(g, axis, 0, size),
            rows(g, axis, 2 * size + 1, end - size - 1),
            rows(g, axis, end - size - 1, end - 1) + mirrored(g, axis, end, end + size),
            rows(g, axis, end - 1, end)], axis)

    @tf.custom_gradient
    def both(x):
        return pad(pad(x, 1), 2), lambda g: fold(fold(g, 2), 1)

    return both(x)


@serializable
class SeededDropout(keras.layers.Layer):
    """Dropout as a generator's noise: also active in inference, as a function of each image's seed.

    Isola et al. (2017, section 3.2) use this noise in training and at test time. Inputs:
    [features (B, …), seeds int64 (B,)]; a negative seed asks for fresh noise. Seeds are not used in training.

    Args:
        rate: fraction of values set to 0, in [0, 1); the others are scaled by 1 / (1 - rate).
        use: noise stream of the seed; each such layer of a network needs its own.
        seed: seed of the layer's random state in training; None uses Keras' global seed.

    Raises:
        UserError: for a rate out of range.
    """

    def __init__(self, rate=0.5, use=0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise UserError(f"SeededDropout(rate) expects a share in [0, 1), received {rate}")
        self.rate = rate
        self.use = use
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        x, seeds = inputs
        if training:
            return replicas.dropout(x, self.rate, self.seed_generator)
        kept = noise.uniform(seeds, tuple(x.shape[1:]), noise.DROPOUT + 256 * self.use) >= self.rate
        return ops.where(kept, x / (1.0 - self.rate), ops.zeros_like(x))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@serializable
class ImagePool(keras.layers.Layer):
    """Pool of generated images, from which a critic receives a mixture of old and new ones (Shrivastava et al., 2017).

    While the pool fills, images pass and are stored. When it is full, each image with probability 1/2 passes, else is
    exchanged for a stored one (Zhu et al., 2017, section 4). The images are weights, so that files and checkpoints
    contain them. Of a batch larger than the pool, only the first `size` images take part.

    Args:
        image_shape: (H, W, C).
        size: number of stored images, >= 1.
        seed: seed of the layer's random state; None uses Keras' global seed.
    """

    def __init__(self, image_shape, size=50, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if size < 1:
            raise UserError(f"ImagePool(size) expects at least 1, received {size}")
        self.image_shape = tuple(image_shape)
        self.size = size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.images = self.add_weight((size, *self.image_shape), "zeros", trainable=False, name="images")
        self.count = self.add_weight((), "zeros", trainable=False, dtype="int32", name="count")
        self.built = True

    def call(self, x):
        """Images (B, H, W, C) -> images (B, H, W, C), new or stored; updates the pool."""
        # All replicas have the same pool, of the images of all.
        return replicas.ours(self.exchanged(replicas.gathered(x)), ops.shape(x)[0])

    def exchanged(self, x):
        """`call` of a whole batch."""
        index = ops.arange(ops.shape(x)[0])
        filling = index < self.size - self.count
        # Random permutation of the stored images: each slot is exchanged at most once per batch, and never with
        # an image stored by the same batch.
        order = keras.random.uniform((self.size,), seed=self.seed_generator) + ops.cast(
            ops.arange(self.size) >= self.count, "float32")
        turn = index - ops.minimum(self.size - self.count, ops.shape(x)[0])
        place = tf.where(filling, self.count + index, tf.gather(tf.argsort(order), tf.clip_by_value(turn, 0, self.size - 1)))
        exchanged = keras.random.uniform(ops.shape(index), seed=self.seed_generator) < 0.5
        exchanged = exchanged & ~filling & (turn < self.count)
        old = tf.gather(ops.convert_to_tensor(self.images), place)
        stored = tf.where(exchanged | filling)[:, 0]
        self.images.assign(tf.tensor_scatter_nd_update(
            self.images, tf.gather(place, stored)[:, None], tf.cast(tf.gather(x, stored), self.images.dtype)))
        self.count.assign(ops.minimum(self.size, self.count + ops.shape(x)[0]))
        return ops.where(exchanged[:, None, None, None], ops.cast(old, x.dtype), x)

"""Corruptions of images: layers that are active in training only, and pure functions of seeds for evaluation."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.errors import UserError
from tfgen.serialization import serializable


class Corruption(keras.layers.Layer):
    """Base class: a subclass defines one function `corrupt(x, uniforms)`; the layer draws the uniforms in training.

    Args:
        seed: seed of the layer's random state; None uses Keras' global seed.
    """

    # Noise stream; corruptions that must be independent of each other use different streams.
    use = noise.CORRUPTION

    def __init__(self, seed=None, **kwargs):
        # Images and noise stay in float32.
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def noise_shape(self, image_shape):
        """Shape of the uniforms of one image."""
        return tuple(image_shape)

    def corrupt(self, x, uniforms):
        """Images (B, H, W, C) and uniforms (B, *noise_shape) in [0, 1) -> images."""
        raise NotImplementedError(f"{type(self).__name__} must define corrupt(x, uniforms)")

    def uniforms(self, x, training):
        """Uniforms (B, *noise_shape) for a batch: random in training, else functions of each image alone."""
        if not training:
            return noise.uniform(noise.seeds_of(x), self.noise_shape(x.shape[1:]), self.use)
        shape = (ops.shape(x)[0], *self.noise_shape(x.shape[1:]))
        return replicas.uniform(shape, self.seed_generator, dtype=x.dtype)

    def seeded(self, x, seeds):
        """Corrupts image i as a function of seed i alone, for reproducible test sets."""
        return self.corrupt(x, noise.uniform(seeds, self.noise_shape(x.shape[1:]), self.use))

    def call(self, x, training=False):
        return self.corrupt(x, self.uniforms(x, training=True)) if training else x

    def compute_output_shape(self, input_shape):
        return input_shape


@serializable
class GaussianCorruption(Corruption):
    """x + sigma n, n standard normal; values may leave [0, 1] (Vincent et al., 2010).

    Unlike Keras' GaussianNoise it can corrupt a test set reproducibly.

    Args:
        sigma: standard deviation in units of the [0, 1] range, >= 0.
    """

    def __init__(self, sigma=0.3, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if sigma < 0:
            raise UserError(f"GaussianCorruption(sigma) expects a number >= 0, received {sigma}")
        self.sigma = sigma

    def corrupt(self, x, uniforms):
        return x + self.sigma * math.sqrt(2.0) * ops.erfinv(ops.clip(2.0 * uniforms - 1.0, -0.999999, 0.999999))


def _check_rate(layer, rate):
    if not 0 <= rate <= 1:
        raise UserError(f"{type(layer).__name__}(rate) expects a share in [0, 1], received {rate}")


@serializable
class MaskPixels(Corruption):
    """Masking noise: sets a random fraction `rate` of the pixels (all channels) to 0 (Vincent et al., 2008)."""

    def __init__(self, rate=0.25, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        _check_rate(self, rate)
        self.rate = rate

    def noise_shape(self, image_shape):
        return (*image_shape[:-1], 1)

    def corrupt(self, x, uniforms):
        return ops.where(uniforms < self.rate, 0.0, x)


@serializable
class SaltAndPepper(Corruption):
    """Sets a random fraction `rate` of the pixels (all channels) to 0 or 1 with equal probability (Vincent et al., 2010)."""

    def __init__(self, rate=0.25, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        _check_rate(self, rate)
        self.rate = rate

    def noise_shape(self, image_shape):
        return (*image_shape[:-1], 1)

    def corrupt(self, x, uniforms):
        return ops.where(uniforms < self.rate / 2, 0.0, ops.where(uniforms < self.rate, 1.0, x))


@serializable
class EraseRegion(Corruption):
    """Erases one random rectangle per image with the value `fill` (Pathak et al., 2016).

    Args:
        low, high: range of the rectangle's sides as fractions of the image's sides, 0 < low <= high <= 1.
        fill: value of erased pixels.
    """

    def __init__(self, low=0.25, high=0.5, fill=0.5, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not 0 < low <= high <= 1:
            raise UserError(f"EraseRegion expects 0 < low <= high <= 1, received low={low}, high={high}")
        self.low = low
        self.high = high
        self.fill = fill

    def noise_shape(self, image_shape):
        return (4,)

    def mask(self, uniforms, height, width):
        """True at erased pixels: (B, H, W, 1). Sides are at least one pixel."""

        def span(size_noise, start_noise, length):
            size = ops.maximum(1.0, ops.round((self.low + (self.high - self.low) * size_noise) * length))
            start = ops.floor(start_noise * (length - size + 1.0))
            position = tf.range(length, dtype=size.dtype)[None, :]
            return (position >= start[:, None]) & (position < (start + size)[:, None])

        rows = span(uniforms[:, 0], uniforms[:, 1], height)
        columns = span(uniforms[:, 2], uniforms[:, 3], width)
        return (rows[:, :, None] & columns[:, None, :])[..., None]

    def corrupt(self, x, uniforms):
        return ops.where(self.mask(uniforms, x.shape[1], x.shape[2]), ops.cast(self.fill, x.dtype), x)


@serializable
class EraseLattice(Corruption):
    """Erases a lattice of squares, `side + gap` pixels apart, with one random offset per image.

    One pass of a network predicts distant regions at once, so that the number of passes over an image does not depend
    on its size.

    Args:
        side: side of the squares in pixels, >= 1.
        gap: pixels between squares, >= 1.
        fill: value of erased pixels.

    Raises:
        UserError: for a side or gap out of range.
    """

    def __init__(self, side=8, gap=8, fill=0.5, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if min(side, gap) < 1:
            raise UserError(f"EraseLattice expects a side and a gap of at least 1 pixel, received {side} and {gap}")
        self.side = side
        self.gap = gap
        self.fill = fill

    @property
    def period(self):
        """Period of the lattice in pixels."""
        return self.side + self.gap

    def noise_shape(self, image_shape):
        return (2,)

    def lattice(self, starts, height, width):
        """True at erased pixels, (B, H, W, 1): squares at rows starts[:, 0] and columns starts[:, 1] mod period."""
        rows, columns = ((tf.range(length)[None, :] - starts[:, axis, None]) % self.period < self.side
                         for axis, length in enumerate((height, width)))
        return (rows[:, :, None] & columns[:, None, :])[..., None]

    def mask(self, uniforms, height, width):
        """`lattice` at integer offsets drawn with uniforms (B, 2), so that all pixels are erased equally often."""
        return self.lattice(tf.cast(uniforms * self.period, tf.int32), height, width)

    def erase(self, x, mask):
        return ops.where(mask, ops.cast(self.fill, x.dtype), x)

    def corrupt(self, x, uniforms):
        return self.erase(x, self.mask(uniforms, x.shape[1], x.shape[2]))

"""PULSE: super-resolution by searching the latents of a trained generator (Menon et al., 2020, arXiv:2003.03808)."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfgen import noise
from tfgen.data.pairings import downscale
from tfgen.distributions.priors import Normal
from tfgen.errors import UserError
from tfgen.verbs import graphs
from tfgen.verbs.live import Live, in_batches, resolve_options


@dataclasses.dataclass(frozen=True)
class Found:
    """Result of the search for each low-resolution image.

    Attributes:
        images: float32 (B, H, W, C) in [0, 1], decoded from `latents`.
        latents: float32 (B, d) of norm sqrt(d).
        distance: float32 (B,), root mean squared error of the downscaled images, in [0, 1].
    """

    images: np.ndarray
    latents: np.ndarray
    distance: np.ndarray


def pulse(model, low, factor, steps=200, restarts=8, learning_rate=0.4, seed=0, batch_size=32, **options):
    """Finds generated images with given block means: argmin ||D(G(z)) - low||^2 over ||z|| = sqrt(d).

    D averages blocks of factor x factor pixels; a high-dimensional normal prior concentrates near this sphere. Each
    step is an Adam update (Kingma & Ba, 2015) followed by projection onto the sphere; the learning rate decays linearly
    to zero. All restarts of a batch run in parallel in one graph, and each image keeps its best restart. Restart r
    starts at the latent of sample seed * 2^32 + r, so that the result is a function of the image and `seed` only, up to
    rounding.

    Args:
        model: a model that decodes normal latents (B, d): a VAE, an AAE or a GAN with prior `Normal`.
        low: float (B, H / factor, W / factor, C) in [0, 1], B >= 1.
        factor: int >= 1 that divides the sides of the model's images.
        steps, restarts: int >= 1; the cost is steps * restarts forward and backward passes per image.
        learning_rate: initial learning rate in units of a latent, > 0.
        seed: int in 0 ... 2^31 - 1.
        batch_size: images per batch, each with all restarts.
        **options: options of `decode` such as `label`: one value, or one per image.

    Returns:
        `Found`.

    Raises:
        UserError: a model without normal latents, a factor that does not divide the sides, images of another shape, a number
            out of range, or an option that `decode` does not have.
    """
    low = np.asarray(low, np.float32)
    _check(model, low, factor, {"steps": (steps, 1, 2**31), "restarts": (restarts, 1, 2**31),
                                "seed": (seed, 0, 2**31), "batch_size": (batch_size, 1, 2**31)})
    if not 0 < learning_rate < math.inf:
        raise UserError(f"pulse(learning_rate) expects a number > 0, received {learning_rate!r}")
    live = Live(model)
    decoding = resolve_options(live, "decode", len(low), options)
    starts = _on_sphere(noise.normal((int(seed) << 32) + np.arange(restarts), model.latent_shape, noise.LATENT))
    search = _search(model, factor, starts, steps, learning_rate, list(decoding))
    latents = in_batches(search, [low, *decoding.values()], batch_size)["latents"]
    images = live("decode", latents, batch_size=batch_size, **decoding)
    error = downscale(images, factor).numpy() - low
    return Found(images, latents, np.sqrt(np.mean(np.square(error), axis=(1, 2, 3))))


def _search(model, factor, starts, steps, learning_rate, names):
    """Returns a tf.function (low (B, h, w, C), options (B,) …) -> {"latents": (B, d)}, traced once for all batch sizes."""
    restarts = len(starts)
    specs = graphs.signature(model, "decode")
    height, width, channels = model.image_shape
    signature = [tf.TensorSpec((None, height // factor, width // factor, channels)), *(specs[name] for name in names)]

    @tf.function(input_signature=signature, autograph=False)
    def search(low, *columns):
        target, *columns = (tf.repeat(rows, restarts, axis=0) for rows in (low, *columns))

        def errors(z):
            """Squared distance of each row, (B * restarts,)."""
            made = downscale(model.decode(z, **dict(zip(names, columns))), factor)
            return tf.reduce_sum(tf.square(made - target), axis=(1, 2, 3))

        def descend(step, z, mean, square):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(z)
                total = tf.reduce_sum(errors(z))
            gradient = tape.gradient(total, z)
            # Tangential part: the radial part does not vanish at the optimum, and Adam would rescale it.
            gradient -= tf.reduce_mean(gradient * z, axis=1, keepdims=True) * z
            # Adam with bias-corrected moments.
            t = tf.cast(step, tf.float32)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * tf.square(gradient)
            update = mean / (1.0 - 0.9 ** (t + 1.0)) / (tf.sqrt(square / (1.0 - 0.999 ** (t + 1.0))) + 1e-8)
            return step + 1, _on_sphere(z - learning_rate * (1.0 - t / steps) * update), mean, square

        z = tf.tile(starts, (tf.shape(low)[0], 1))  # (B * restarts, d)
        _, z, _, _ = tf.while_loop(lambda step, *_: step < steps, descend,
                                   (0, z, tf.zeros_like(z), tf.zeros_like(z)), parallel_iterations=1)
        best = tf.argmin(tf.reshape(errors(z), (-1, restarts)), axis=1)
        return {"latents": tf.gather(tf.reshape(z, (-1, restarts, z.shape[1])), best, batch_dims=1)}

    return search


def _on_sphere(z):
    """Projects each row of z (B, d) to norm sqrt(d)."""
    return math.sqrt(z.shape[1]) * tf.math.l2_normalize(z, axis=1)


def _check(model, low, factor, counts):
    """Raises a `UserError` unless the model has normal latents and all arguments are valid for it."""
    shape, prior = getattr(model, "latent_shape", None), getattr(model, "prior", None)
    normal = isinstance(prior, Normal) and getattr(model, "noise_dim", None) in (None, *(shape or ()))
    if not (normal and callable(getattr(model, "decode", None)) and len(shape) == 1):
        name = type(prior).__name__ if prior is not None else "no prior"
        raise UserError(f"pulse expects a model that decodes latents (d,), all of a Normal prior, received "
                         f"{type(model).__name__} with latents {shape} and {name}: train a VAE or a GAN with prior=Normal()")
    for what, (value, least, end) in (counts | {"factor": (factor, 1, 2**31)}).items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < end:
            raise UserError(f"pulse({what}) expects an int in {least} ... {end - 1}, received {value!r}")
    height, width, channels = model.image_shape
    if height % factor or width % factor:
        raise UserError(f"pulse(factor) expects a divisor of the model's {height}x{width} images, received {factor}")
    expected = (height // factor, width // factor, channels)
    if low.shape[1:] != expected or not len(low) or not np.isfinite(low).all():
        raise UserError(f"pulse expects finite low-resolution images (B, {', '.join(map(str, expected))}), B >= 1, "
                         f"received {low.shape}: downscale images of the model's size by {factor}")

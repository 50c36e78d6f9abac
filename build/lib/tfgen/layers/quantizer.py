"""Vector quantisation: vectors become the nearest of a learned set."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import require
from tfgen.serialization import serializable


@serializable
class VectorQuantizer(keras.layers.Layer):
    """Replaces each vector by the nearest of K vectors, the codebook (van den Oord et al., 2017, arXiv:1711.00937).

    For a vector z of D channels, code k = argmin_j ||z - e_j||^2, and e_k is passed on with a straight-through gradient: the
    output is z + sg(e_k - z), with sg the identity without a gradient. The loss per image, a mean over positions and
    channels, draws encoder outputs towards their codes, and codes without a running average towards these:

        commitment * (z - sg(e_k))^2                      with a running average (appendix A.1 of the paper)
        commitment * (z - sg(e_k))^2 + (sg(z) - e_k)^2    with a codebook that the optimizer trains

    Running average, with n_k the number of vectors of code k in a batch and s_k their sum:
    N_k <- decay N_k + (1 - decay) n_k, m_k <- decay m_k + (1 - decay) s_k, e_k <- m_k / N_k.

    A code is revived when its running number of vectors N_k falls below `revive` of the mean: it becomes a random vector of
    the batch, with N_k twice that bound, so that it has some log(2) / (1 - decay) steps to be found useful. At the first
    training step all codes do, so that the codebook starts from data. Jukebox (Dhariwal et al., 2020, arXiv:2005.00341,
    section 3.1) revives below one vector per batch, and at each step until N_k has grown.

    The layer updates N, m and a codebook of running averages when it is called in training.

    Args:
        codes: K, >= 2.
        decay: of the running averages, in [0, 1).
        trained: whether the optimizer trains the codebook instead of a running average.
        commitment: weight beta of the commitment loss, >= 0.
        revive: share of the mean number of vectors per code, in [0, 1); 0 revives none but at the first step.

    Returns:
        `[quantised (B, ..., D), codes int32 (B, ...), loss (B,)]` for vectors (B, ..., D).

    Raises:
        UserError: for an argument out of range.
    """

    def __init__(self, codes=512, decay=0.99, trained=False, commitment=0.25, revive=0.1, **kwargs):
        super().__init__(**kwargs)
        require(codes >= 2, f"VectorQuantizer(codes) expects at least 2, received {codes}")
        require(0 <= decay < 1, f"VectorQuantizer(decay) expects a number in [0, 1), received {decay}")
        require(commitment >= 0, f"VectorQuantizer(commitment) expects a number >= 0, received {commitment}")
        require(0 <= revive < 1, f"VectorQuantizer(revive) expects a number in [0, 1), received {revive}")
        self.codes = codes
        self.decay = decay
        self.trained = trained
        self.commitment = commitment
        self.revive = revive
        self.seed_generator = keras.random.SeedGenerator()
        # Distances, averages and their small changes need float32.
        self.autocast = False

    def build(self, input_shape):
        dim = input_shape[-1]
        exact = {"dtype": "float32", "autocast": False}
        start = keras.initializers.RandomUniform(-1.0 / self.codes, 1.0 / self.codes)
        self.codebook = self.add_weight((self.codes, dim), start, trainable=self.trained, name="codebook", **exact)
        self.counts = self.add_weight((self.codes,), "zeros", trainable=False, name="counts", **exact)
        self.sums = self.add_weight((self.codes, dim), "zeros", trainable=False, name="sums", **exact)

    def nearest(self, z):
        """Code of each vector: (..., D) -> int32 (...)."""
        # ||z||^2 is the same for all codes.
        squares = ops.sum(ops.square(self.codebook), axis=-1)
        # Keras' argmin passes over all distances three more times, to tell -0 from 0.
        return tf.argmin(squares - 2.0 * ops.matmul(z, ops.transpose(self.codebook)), axis=-1, output_type="int32")

    def look_up(self, codes):
        """Vectors of codes: int (...) -> (..., D)."""
        return ops.take(self.codebook, codes, axis=0)

    def call(self, z, training=False):
        z = ops.cast(z, "float32")
        codes = self.nearest(z)
        found = self.look_up(codes)
        axes = tuple(range(1, len(z.shape)))
        loss = self.commitment * ops.mean(ops.square(z - ops.stop_gradient(found)), axis=axes)
        if self.trained:
            loss += ops.mean(ops.square(ops.stop_gradient(z) - found), axis=axes)
        if training:
            flat = ops.reshape(ops.stop_gradient(z), (-1, z.shape[-1]))
            self.update(flat, ops.reshape(codes, (-1,)))
        return [ops.cast(z + ops.stop_gradient(found - z), self.compute_dtype), codes, loss]

    def update(self, z, codes):
        """Moves the running averages and revives codes. z: (N, D); codes: int (N,)."""
        places, rows = replicas.places(ops.shape(z)[0])
        # Different rows, as far as there are enough: the replicas that have them give them.
        order = ops.argsort(keras.random.uniform((rows,), seed=self.seed_generator))
        drawn = ops.take(order, ops.arange(self.codes) % rows) - places[0]
        ours = (drawn >= 0) & (drawn < ops.shape(z)[0])
        drawn = ops.where(ours[:, None], ops.take(z, ops.where(ours, drawn, 0), axis=0), 0.0)
        counts = ops.segment_sum(ops.ones_like(z[:, 0]), codes, self.codes)
        counts, sums, drawn = replicas.summed([counts, ops.segment_sum(z, codes, self.codes), drawn])
        counts = self.decay * self.counts + (1.0 - self.decay) * counts
        sums = self.decay * self.sums + (1.0 - self.decay) * sums
        mean = ops.cast(rows, "float32") / self.codes
        # Nothing has been counted before the first step.
        dead = (counts < self.revive * mean) | (ops.sum(self.counts) == 0)
        new = min(1.0, 2.0 * self.revive or 1.0) * mean
        counts = ops.where(dead, new, counts)
        sums = ops.where(dead[:, None], new * drawn, sums)
        # A code without vectors for long stays where it is.
        used = (counts > 1e-6)[:, None]
        means = sums / ops.where(used, counts[:, None], 1.0)
        kept = self.codebook if self.trained else ops.where(used, means, self.codebook)
        self.codebook.assign(ops.where(dead[:, None], drawn, kept))
        self.counts.assign(counts)
        self.sums.assign(sums)

    def compute_output_shape(self, input_shape):
        return [tuple(input_shape), tuple(input_shape[:-1]), (input_shape[0],)]

    def compute_output_spec(self, z, training=False):
        shapes, types = self.compute_output_shape(z.shape), (self.compute_dtype, "int32", "float32")
        return [keras.KerasTensor(shape, dtype) for shape, dtype in zip(shapes, types)]


def perplexity(codes, size):
    """exp of the entropy of the shares of `size` codes among int codes (B, ...): float32 scalar in 1 ... size."""
    counts = ops.bincount(ops.reshape(codes, (-1,)), minlength=size)
    shares = ops.cast(counts, "float32") / ops.cast(ops.size(codes), "float32")
    return ops.exp(-ops.sum(shares * ops.log(ops.maximum(shares, 1e-10))))

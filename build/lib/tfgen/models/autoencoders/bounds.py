"""The importance-weighted bound of models with a posterior, as a loop whose length is a tensor."""

import tensorflow as tf
from keras import ops


def importance_weighted(log_weight, k, rows):
    """log (1/k) sum_{i < k} exp(log_weight(i)), the bound of Burda et al. (2016); the ELBO's one-sample estimate for k = 1.

    Args:
        log_weight: function int32 scalar tensor i -> log p(x, z_i) - log q(z_i | x) at the latents of sample i, (B,).
        k: number of samples, >= 1: an int or int (B,).
        rows: B, an int32 scalar tensor.

    Returns:
        float32 (B,) in nats.
    """
    k = tf.broadcast_to(tf.cast(k, tf.int32), [rows])

    def add(index, total):
        return index + 1, tf.where(index < k, ops.logaddexp(total, log_weight(index)), total)

    _, total = tf.while_loop(lambda index, _: index < tf.reduce_max(k), add, (tf.constant(0), tf.fill([rows], -1e30)),
                             parallel_iterations=1)
    return total - tf.math.log(tf.cast(k, tf.float32))

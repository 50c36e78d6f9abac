"""The importance-weighted bound, as a loop whose length is a tensor."""

import math

import tensorflow as tf


def importance_weighted(log_weight, k, rows):
    """log (1/k) sum_{i < k} exp(log_weight(i)), the bound of Burda et al. (2016); the ELBO's one-sample estimate for k = 1.

    Sums are kept in units of the largest weight: in float32, a logarithm of thousands of nats has no room for 1 / k.

    Args:
        log_weight: function int32 scalar tensor i -> log p(x, z_i) - log q(z_i | x) at the latents of sample i, (B,).
        k: number of samples, >= 1: an int or int (B,).
        rows: B, an int32 scalar tensor.

    Returns:
        float32 (B,) in nats.
    """
    k = tf.broadcast_to(tf.cast(k, tf.int32), [rows])

    def add(index, largest, total):
        found = tf.where(index < k, log_weight(index), -math.inf)
        new = tf.maximum(largest, found)
        return index + 1, new, total * tf.exp(largest - new) + tf.exp(found - new)

    start = tf.constant(0), tf.fill([rows], -1e30), tf.zeros([rows])
    _, largest, total = tf.while_loop(lambda index, *_: index < tf.reduce_max(k), add, start, parallel_iterations=1)
    return largest + tf.math.log(total / tf.cast(k, tf.float32))

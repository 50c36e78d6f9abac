"""Gaussians of features at positions of a grid."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import frozen, replicas
from tfgen.serialization import serializable


def whitened(covariance, away):
    """L^-1 a for L L^T the covariance: vectors whose squared length is the squared Mahalanobis distance.

    In a graph of frozen weights L^-1 is a constant, because ONNX Runtime, OpenVINO and LiteRT solve no triangular systems.

    Args:
        covariance: function of weights alone, without arguments, -> (..., d, d).
        away: a, vectors less their mean, (..., rows, d).

    Returns:
        (..., d, rows).
    """
    def inverse():
        factor = tf.linalg.cholesky(tf.cast(covariance(), tf.float64))
        return tf.cast(tf.linalg.inv(factor), tf.float32)

    constant = frozen.known(inverse)
    if constant is not None:
        return tf.matmul(constant, away, transpose_b=True)
    return tf.linalg.triangular_solve(tf.linalg.cholesky(covariance()), tf.linalg.matrix_transpose(away))


@serializable
class FeatureGaussians(keras.layers.Layer):
    """Mahalanobis distance of features from the mean of their position.

        d_p(f) = sqrt((f_p - m_p)^T (C_p + e I)^-1 (f_p - m_p)),  e = shrinkage * (mean variance of all features) + 1e-6

    m_p and C_p are mean and covariance (divided by n) of all features that `update` was given, by the pairwise update of
    Chan et al. (1979). With `shared` there is one m and one C for all positions.

    Args:
        positions: P, number of positions.
        dim: d, number of features.
        shared: whether all positions have one Gaussian.
        shrinkage: fraction of the mean variance that is added to the diagonal, > 0.
    """

    def __init__(self, positions, dim, shared=False, shrinkage=0.01, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.positions = positions
        self.dim = dim
        self.shared = shared
        self.shrinkage = shrinkage
        count, made = 1 if shared else positions, {"initializer": "zeros", "trainable": False, "dtype": "float32"}
        self.count = self.add_weight((), name="count", **made)
        self.mean = self.add_weight((count, dim), name="mean", **made)
        self.covariance = self.add_weight((count, dim, dim), name="covariance", **made)
        self.built = True

    def rows(self, features):
        """Features (B, P, d), grouped by Gaussian: (Gaussians, rows, d)."""
        features = ops.cast(features, "float32")
        return ops.reshape(features, (1, -1, self.dim)) if self.shared else ops.transpose(features, (1, 0, 2))

    def update(self, features):
        """Adds a batch of features (B, P, d)."""
        rows = self.rows(features)
        mean = replicas.mean(ops.mean(rows, axis=1, keepdims=True))
        away, count = rows - mean, tf.cast(tf.shape(rows)[1], tf.float32)
        covariance = replicas.mean(tf.matmul(away, away, transpose_a=True) / count)
        count = replicas.summed(count)
        share, shift = count / (self.count + count), mean[:, 0] - self.mean
        self.covariance.assign_add(share * (covariance - self.covariance
                                            + (1.0 - share) * shift[:, :, None] * shift[:, None, :]))
        self.mean.assign_add(share * shift)
        self.count.assign_add(count)

    def call(self, features):
        """(B, P, d) -> (B, P)."""
        def covariance():
            floor = self.shrinkage * ops.mean(tf.linalg.trace(self.covariance)) / self.dim + 1e-6
            return self.covariance + floor * tf.eye(self.dim)

        away = self.rows(features) - self.mean[:, None]
        distances = ops.sqrt(ops.sum(ops.square(whitened(covariance, away)), axis=1))
        return ops.reshape(distances, (-1, self.positions)) if self.shared else ops.transpose(distances)

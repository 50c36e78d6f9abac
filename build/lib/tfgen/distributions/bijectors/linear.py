"""Bijectors that mix values by an invertible matrix."""

import keras
import numpy as np
from keras import ops

from tfgen import frozen
from tfgen.distributions.bijectors.base import Bijector, per_row, positions
from tfgen.serialization import serializable


@serializable
class InvertibleConv(Bijector):
    """z = W x at every position, W = P L (U + diag(sign exp(log_s))), a 1x1 convolution (Kingma & Dhariwal, 2018, 3.2).

    W starts as a random rotation. P (a permutation) and the signs stay; L (unit lower triangular), U (strictly upper
    triangular) and log_s are trained. log |det dz/dx| = H W sum log_s. Vectors have one position.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        import scipy.linalg

        count = input_shape[-1]
        rotation = np.asarray(keras.initializers.Orthogonal()((count, count), dtype="float32"), "float64")
        permutation, lower, upper = scipy.linalg.lu(rotation)
        diagonal = np.diag(upper)
        stays = {"permutation": permutation, "sign": np.sign(diagonal)}
        # L below the diagonal and U above it, in one matrix.
        learns = {"lower_upper": np.tril(lower, -1) + np.triu(upper, 1), "log_s": np.log(np.abs(diagonal))}
        for name, value in (stays | learns).items():
            weight = self.add_weight(value.shape, "zeros", name=name, trainable=name in learns)
            weight.assign(value)
            setattr(self, name, weight)

    def factors(self, dtype):
        """L and U + diag(s): two (C, C)."""
        count = self.log_s.shape[0]
        below = np.tril(np.ones((count, count), self.log_s.dtype), -1)
        lower = self.lower_upper * below + np.eye(count, dtype=below.dtype)
        upper = self.lower_upper * below.T + ops.diag(self.sign * ops.exp(ops.convert_to_tensor(self.log_s)))
        return ops.cast(lower, dtype), ops.cast(upper, dtype)

    def matrix(self, dtype):
        """W: (C, C)."""
        lower, upper = self.factors(dtype)
        return ops.matmul(ops.cast(self.permutation, dtype), ops.matmul(lower, upper))

    def inverse_matrix(self):
        """W^-1 = U^-1 L^-1 P^T in float64, so that its error is that of one float32 product."""
        lower, upper = self.factors("float64")
        rows = ops.solve_triangular(lower, ops.transpose(ops.cast(self.permutation, "float64")), lower=True)
        return ops.solve_triangular(upper, rows, lower=False)

    def forward_and_log_det(self, x, context=None, training=False):
        log_det = positions(x.shape) * ops.sum(ops.convert_to_tensor(self.log_s))
        return product(x, lambda: self.matrix(x.dtype)), per_row(log_det, x)

    def inverse(self, z, context=None):
        return product(z, self.inverse_matrix)


def product(x, matrix):
    """A matrix times the values at every position; in a graph of frozen weights it is a constant.

    Args:
        x: (..., C).
        matrix: function of weights alone -> (C, C).
    """
    constant = frozen.known(matrix)
    return ops.matmul(x, ops.transpose(ops.cast(matrix() if constant is None else constant, x.dtype)))

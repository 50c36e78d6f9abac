"""Metrics of likelihood models."""

import math

import numpy as np


def bits_per_dim(log_prob, image_shape, offset=0.0):
    """Bits per dimension: -log_prob / (D ln 2) + offset, with D values per image.

    Args:
        log_prob: nats per image, a number or array.
        image_shape: (H, W, C).
        offset: of a density on [0, 1] at levels k / (n - 1), log2(n - 1); 0 for a probability.
    """
    return -np.asarray(log_prob) / (math.prod(image_shape) * math.log(2.0)) + offset


def active_units(codes, threshold=0.01):
    """Number of active latent units: Var_x(E_q[z_j | x]) > threshold (Burda et al., 2016, section 5.2).

    Args:
        codes: posterior means (N, d).
        threshold: minimum variance of an active unit.
    """
    return int(np.sum(np.var(np.asarray(codes), axis=0, dtype=float) > threshold))

"""Divergences and densities in closed form, in nats."""

import math

from keras import ops


def gaussian_kl(mean, log_var, prior_mean=0.0, prior_log_var=0.0):
    """KL(N(mean, exp(log_var)) || N(prior_mean, exp(prior_log_var))) per dimension; the standard normal by default.

    With d = log_var - prior_log_var: ((mean - prior_mean)^2 exp(-prior_log_var) + exp(d) - 1 - d) / 2.

    Args:
        mean, log_var: tensors of one shape.
        prior_mean, prior_log_var: numbers, or tensors that broadcast with them.

    Returns:
        A tensor of the broadcast shape, >= 0 (Kingma & Welling, 2013, appendix B).
    """
    ratio = log_var - prior_log_var
    return 0.5 * (ops.square(mean - prior_mean) * ops.exp(-prior_log_var) + ops.exp(ratio) - 1.0 - ratio)


def gaussian_log_prob(x, mean=0.0, log_var=0.0):
    """log N(x; mean, exp(log_var)) per dimension. Shapes broadcast."""
    return -0.5 * (math.log(2.0 * math.pi) + log_var + ops.square(x - mean) * ops.exp(-log_var))


def bernoulli_kl(rho, rho_hat, epsilon=1e-6):
    """KL(Bernoulli(rho) || Bernoulli(rho_hat)) = rho log(rho/rho_hat) + (1-rho) log((1-rho)/(1-rho_hat)).

    Args:
        rho: target mean activation, a float in (0, 1).
        rho_hat: observed mean activations, clipped to [epsilon, 1 - epsilon].

    Returns:
        A tensor of rho_hat's shape, >= 0.
    """
    rho_hat = ops.clip(rho_hat, epsilon, 1.0 - epsilon)
    return rho * (math.log(rho) - ops.log(rho_hat)) + (1.0 - rho) * (math.log(1.0 - rho) - ops.log(1.0 - rho_hat))

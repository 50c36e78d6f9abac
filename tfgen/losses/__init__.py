"""Scalars of outputs: likelihoods and divergences."""

from tfgen.losses.divergences import bernoulli_kl, gaussian_kl, gaussian_log_prob
from tfgen.losses.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood

__all__ = ["Bernoulli", "DiscretisedLogistic", "Gaussian", "Likelihood", "bernoulli_kl", "gaussian_kl",
           "gaussian_log_prob"]

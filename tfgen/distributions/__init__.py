"""Distributions: priors of latents p(z), likelihoods p(x | z), divergences between them."""

from tfgen.distributions.divergences import bernoulli_kl, gaussian_kl, gaussian_log_prob
from tfgen.distributions.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.distributions.priors import Normal, Prior, TruncatedNormal, Uniform

__all__ = ["Bernoulli", "DiscretisedLogistic", "Gaussian", "GaussianMixturePrior", "Likelihood", "Normal", "Prior",
           "TruncatedNormal", "Uniform", "bernoulli_kl", "gaussian_kl", "gaussian_log_prob"]

"""Distributions: priors of latents p(z), likelihoods p(x | z), divergences between them."""

from tfgen.distributions.discrete import Categorical, MixtureOfLogistics
from tfgen.distributions.divergences import bernoulli_kl, gaussian_kl, gaussian_log_prob
from tfgen.distributions.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.distributions.priors import Normal, Prior, TruncatedNormal, Uniform

__all__ = ["Bernoulli", "Categorical", "DiscretisedLogistic", "Gaussian", "GaussianMixturePrior", "Likelihood",
           "MixtureOfLogistics", "Normal", "Prior", "TruncatedNormal", "Uniform", "bernoulli_kl", "gaussian_kl",
           "gaussian_log_prob"]

"""Distributions: priors of latents p(z), likelihoods p(x | z), divergences between them."""

from tfgen.distributions import bijectors
from tfgen.distributions.dequantisation import Dequantisation, UniformDequantisation, VariationalDequantisation
from tfgen.distributions.discrete import Categorical, MixtureOfLogistics
from tfgen.distributions.divergences import bernoulli_kl, gaussian_kl, gaussian_log_prob
from tfgen.distributions.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood, Standardised
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.distributions.priors import Logistic, Normal, Prior, TruncatedNormal, Uniform

__all__ = ["Bernoulli", "Categorical", "Dequantisation", "DiscretisedLogistic", "Gaussian", "GaussianMixturePrior",
           "Likelihood", "Logistic", "MixtureOfLogistics", "Normal", "Prior", "Standardised", "TruncatedNormal", "Uniform",
           "UniformDequantisation", "VariationalDequantisation", "bernoulli_kl", "bijectors", "gaussian_kl",
           "gaussian_log_prob"]

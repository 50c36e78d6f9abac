"""Scalars of outputs: likelihoods, divergences and the objectives of adversarial players."""

from tfgen.losses.adversarial import (
    Energy,
    EnergyMargin,
    Hinge,
    LeastSquares,
    Lipschitz,
    Minimax,
    NonSaturating,
    Objective,
    Wasserstein,
    pull_away,
)
from tfgen.losses.divergences import bernoulli_kl, gaussian_kl, gaussian_log_prob
from tfgen.losses.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian, Likelihood

__all__ = ["Bernoulli", "DiscretisedLogistic", "Energy", "EnergyMargin", "Gaussian", "Hinge", "LeastSquares", "Likelihood",
           "Lipschitz", "Minimax", "NonSaturating", "Objective", "Wasserstein", "bernoulli_kl", "gaussian_kl",
           "gaussian_log_prob", "pull_away"]

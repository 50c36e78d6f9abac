"""What is minimised: objectives of adversarial players, penalties on encoders and critics, perceptual distances."""

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
from tfgen.losses.differential import Gradient, Laplacian, Value
from tfgen.losses.penalties import R1, Contractive, GradientPenalty, KLSparsity, L1Sparsity, MaxGradientPenalty
from tfgen.losses.perceptual import perceptual_distance

__all__ = ["Contractive", "Energy", "EnergyMargin", "Gradient", "GradientPenalty", "Hinge", "KLSparsity", "L1Sparsity",
           "Laplacian", "LeastSquares", "Lipschitz", "MaxGradientPenalty", "Minimax", "NonSaturating", "Objective", "R1",
           "Value", "Wasserstein", "perceptual_distance", "pull_away"]

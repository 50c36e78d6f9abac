"""Autoregressive models: one procedure, whose networks and likelihoods make the systems of the literature."""

from tfgen.models.autoregressive.autoregressive import Autoregressive
from tfgen.models.autoregressive.ensemble import MaskEnsemble

__all__ = ["Autoregressive", "MaskEnsemble"]

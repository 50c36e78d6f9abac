"""Autoregressive models: one procedure, whose networks and likelihoods make the systems of the literature."""

from tfgen.models.autoregressive.autoregressive import Autoregressive

__all__ = ["Autoregressive"]

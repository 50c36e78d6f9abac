"""Numbers that tell how good a trained model is."""

from tfgen.metrics.likelihood import active_units, bits_per_dim

__all__ = ["active_units", "bits_per_dim"]

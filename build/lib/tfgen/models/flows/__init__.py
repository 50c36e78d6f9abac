"""Normalizing flows."""

from tfgen.models.flows.flow import Flow

__all__ = ["Flow"]

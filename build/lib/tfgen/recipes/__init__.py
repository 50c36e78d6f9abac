"""One small function per system of the literature, grouped by family."""

from tfgen.recipes import (
    autoencoders,
    autoregressive,
    detectors,
    diffusion,
    fields,
    flows,
    gans,
    translation,
    vaes,
    vector_quantised,
)
from tfgen.recipes.registry import RECIPES, Recipe, find, recipe

__all__ = ["RECIPES", "Recipe", "autoencoders", "autoregressive", "detectors", "diffusion", "fields", "find", "flows",
           "gans", "recipe", "translation", "vaes", "vector_quantised"]

"""One small function per system of the literature, grouped by family."""

from tfgen.recipes import autoencoders, autoregressive, detectors, fields, flows, gans, translation, vaes, vector_quantised
from tfgen.recipes.registry import RECIPES, Recipe, find, recipe

__all__ = ["RECIPES", "Recipe", "autoencoders", "autoregressive", "detectors", "fields", "find", "flows", "gans", "recipe",
           "translation", "vaes", "vector_quantised"]

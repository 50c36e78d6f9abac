"""One small function per system of the literature, grouped by family."""

from tfgen.recipes import anomaly, autoencoders, gans, styles, translation, vaes
from tfgen.recipes.registry import RECIPES, Recipe, find, recipe

__all__ = ["RECIPES", "Recipe", "anomaly", "autoencoders", "find", "gans", "recipe", "styles", "translation", "vaes"]

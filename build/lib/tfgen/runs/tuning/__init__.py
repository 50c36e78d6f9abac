"""Searches over hyperparameters with KerasTuner: hypermodels, trials, workers, reports."""

from tfgen.runs.tuning.hypermodels import RecipeHyperModel, Trials, Unmeasured, hypermodel
from tfgen.runs.tuning.searching import check_free, join, resume, search

__all__ = ["RecipeHyperModel", "Trials", "Unmeasured", "check_free", "hypermodel", "join", "resume", "search"]

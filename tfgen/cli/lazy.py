"""Modules of tfgen that the commands use, imported after TensorFlow when one is first used.

Help, `tfgen list`, mistyped names and shell completion need none of them.
"""

import importlib

from tfgen import _start


class Lazy:
    """A module that is imported at its first use.

    Args:
        name: the module's full name.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        _start.libraries()
        return getattr(importlib.import_module(self._name), name)


data, evaluation, figures, latent, pictures, recipes, runs, seeds, serving = (Lazy(f"tfgen.{name}") for name in (
    "data", "evaluation", "figures", "latent", "pictures", "recipes", "runs", "seeds", "serving"))
calibration, export, features, folders, heat, live, loading, drawing, report, results, saved_model, sheets, tuning = (
    Lazy(f"tfgen.{name}") for name in (
        "detection.calibration", "serving.export", "evaluation.features", "serving.folders", "detection.heat", "verbs.live",
        "data.loading", "runs.drawing", "detection.report", "figures.table", "serving.saved_model", "latent.sheets",
        "runs.tuning"))

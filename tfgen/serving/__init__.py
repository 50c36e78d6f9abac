"""Trained models at work: SavedModels (`export`, `saved_model`), opening them and runs, folders of image files."""

from tfgen.serving import export, folders, saved_model
from tfgen.serving.opening import open_verbs

__all__ = ["export", "folders", "open_verbs", "saved_model"]

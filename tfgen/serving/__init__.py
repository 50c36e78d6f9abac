"""Trained models at work: SavedModels (`export`, `saved_model`), opening them and runs, folders of image files."""

from tfgen.serving.opening import open_verbs

__all__ = ["open_verbs"]

"""Trained models at work: SavedModels, and folders of image files through a verb."""

from tfgen.serving import export, folders

__all__ = ["export", "folders"]

"""Trained models at work: SavedModels (`export`, `saved_model`), opening them and runs, folders of image files."""

__all__ = ["export", "folders", "opening", "saved_model"]

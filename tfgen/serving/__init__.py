"""Trained models at work: SavedModels (`export`, `saved_model`), opening them and runs, image folders, edge runtimes."""

__all__ = ["edge", "export", "folders", "opening", "saved_model"]

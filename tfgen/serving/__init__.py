"""Trained models at work: SavedModels (`export`, `forms`, `saved_model`), their check in TensorFlow's C++ loader (`check`,
`native`), configuration of TF Serving, opening them and runs, folders of image files."""

__all__ = ["check", "configuration", "examples", "export", "folders", "forms", "native", "opening", "saved_model", "warmup"]

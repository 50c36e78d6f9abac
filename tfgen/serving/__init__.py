"""Trained models at work: SavedModels (`export`, `saved_model`), opening them and runs, folders of image files, servers of
SavedModels (`server`) and a client of them (`Client`)."""

__all__ = ["Client", "export", "folders", "opening", "saved_model", "server"]


def __getattr__(name):
    if name == "Client":
        from tfgen.serving.client import Client

        return Client
    raise AttributeError(f"module 'tfgen.serving' has no attribute '{name}'")

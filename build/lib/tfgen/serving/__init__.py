"""Trained models at work: SavedModels (`export`, `forms`, `saved_model`), their check in TensorFlow's C++ loader (`check`,
`native`), configuration of TF Serving, opening them and runs, folders of image files, servers of SavedModels (`server`) and
a client of them (`Client`), exports for edge runtimes (`edge`)."""

__all__ = ["Client", "check", "configuration", "edge", "examples", "export", "folders", "forms", "native", "opening",
           "saved_model", "server", "warmup"]


def __getattr__(name):
    if name == "Client":
        from tfgen.serving.client import Client

        return Client
    raise AttributeError(f"module 'tfgen.serving' has no attribute '{name}'")

"""The page of `tfgen ui`: tabs derived from the verbs of the models that it finds (Gradio, the extra `ui`)."""

import os

# Read when Gradio is imported: nothing is asked of another host.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

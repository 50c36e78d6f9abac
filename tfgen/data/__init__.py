"""Data: sources, views and pipelines. Images are uint8 in memory and float32 in [0, 1] in batches."""

from tfgen.data import views
from tfgen.data.pipeline import Dataset
from tfgen.data.prepare import prepare
from tfgen.data.sources import available, load
from tfgen.data.spec import DataSpec

__all__ = ["DataSpec", "Dataset", "available", "load", "prepare", "views"]

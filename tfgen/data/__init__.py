"""Image data: where it comes from (`load`, `prepare`, `available`) and how a model sees it (`views`,
`pairings`)."""

from tfgen.data import pairings, views
from tfgen.data.pipeline import Dataset
from tfgen.data.prepare import prepare
from tfgen.data.sources import available, load
from tfgen.data.spec import DataSpec

__all__ = ["DataSpec", "Dataset", "available", "load", "pairings", "prepare", "views"]

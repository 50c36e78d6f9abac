"""Image data: loading (`load`, `prepare`, `available`) and views for models (`views`, `pairings`, `one_class`)."""

from tfgen.data import pairings, views
from tfgen.data.image_files import reading
from tfgen.data.one_class import one_class
from tfgen.data.pipeline import Dataset
from tfgen.data.prepare import prepare
from tfgen.data.sources import available, load, portable
from tfgen.data.spec import DataSpec

__all__ = ["DataSpec", "Dataset", "available", "load", "one_class", "pairings", "portable", "prepare", "reading",
           "views"]

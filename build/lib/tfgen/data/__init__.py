"""Data: loading (`load`, `prepare`, `pack`, `available`), views (`views`, `pairings`, `one_class`), `signal`,
`posed`, `vectors`."""

from tfgen.data import pairings, views
from tfgen.data.dataset import Dataset
from tfgen.data.levels import discretise
from tfgen.data.loading import load, portable
from tfgen.data.names import available
from tfgen.data.one_class import one_class
from tfgen.data.packing import pack
from tfgen.data.readers.image_files import reading
from tfgen.data.readers.prepare import prepare
from tfgen.data.signals import PosedImages, Signal, posed, signal
from tfgen.data.spec import DataSpec
from tfgen.data.vectors import vectors

__all__ = ["DataSpec", "Dataset", "PosedImages", "Signal", "available", "discretise", "load", "one_class", "pack",
           "pairings", "portable", "posed", "prepare", "reading", "signal", "vectors", "views"]

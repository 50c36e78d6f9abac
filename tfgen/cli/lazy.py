"""Modules of tfgen that the commands use, imported after TensorFlow when one is first used.

Help, `tfgen list`, mistyped names and shell completion need none of them.
"""

import importlib

from tfgen import _start


class Lazy:
    """A module that is imported at its first use.

    Args:
        name: the module's full name.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        _start.libraries()
        return getattr(importlib.import_module(self._name), name)


calibration = Lazy("tfgen.detection.calibration")
check = Lazy("tfgen.serving.check")
classes = Lazy("tfgen.data.classes")
configuration = Lazy("tfgen.serving.configuration")
coordinates = Lazy("tfgen.coordinates")
data = Lazy("tfgen.data")
detection_tiles = Lazy("tfgen.detection.tiles")
drawing = Lazy("tfgen.runs.drawing")
edge = Lazy("tfgen.serving.edge")
evaluation = Lazy("tfgen.evaluation")
export = Lazy("tfgen.serving.export")
features = Lazy("tfgen.evaluation.features")
figures = Lazy("tfgen.figures")
folders = Lazy("tfgen.serving.folders")
forms = Lazy("tfgen.serving.forms")
heat = Lazy("tfgen.detection.heat")
inception = Lazy("tfgen.evaluation.inception")
latent = Lazy("tfgen.latent")
likelihood = Lazy("tfgen.evaluation.likelihood")
live = Lazy("tfgen.verbs.live")
native = Lazy("tfgen.serving.native")
opening = Lazy("tfgen.serving.opening")
page = Lazy("tfgen.ui.page")
paths = Lazy("tfgen.data.readers.paths")
pictures = Lazy("tfgen.pictures")
recipes = Lazy("tfgen.recipes")
report = Lazy("tfgen.detection.report")
results = Lazy("tfgen.figures.table")
runs = Lazy("tfgen.runs")
saved_model = Lazy("tfgen.serving.saved_model")
seeds = Lazy("tfgen.seeds")
server = Lazy("tfgen.serving.server")
sheets = Lazy("tfgen.latent.sheets")
tables = Lazy("tfgen.data.readers.tables")
thresholds = Lazy("tfgen.detection.thresholds")
tuning = Lazy("tfgen.runs.tuning")
vectors = Lazy("tfgen.data.vectors")

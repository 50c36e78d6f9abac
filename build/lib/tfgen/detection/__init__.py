"""Anomaly detection after training: thresholds, heat maps, reports, tiles of large images."""

from tfgen.detection import calibration, heat, report, thresholds, tiles
from tfgen.detection.calibration import calibrate, scores_of
from tfgen.detection.thresholds import threshold
from tfgen.detection.tiles import Tiled

__all__ = ["Tiled", "calibrate", "calibration", "heat", "report", "scores_of", "threshold", "thresholds", "tiles"]

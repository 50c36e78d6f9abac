"""Anomaly detection after training: thresholds, heat maps, reports."""

from tfgen.detection import calibration, heat, report, thresholds
from tfgen.detection.calibration import calibrate, scores_of
from tfgen.detection.thresholds import threshold

__all__ = ["calibrate", "calibration", "heat", "report", "scores_of", "threshold", "thresholds"]

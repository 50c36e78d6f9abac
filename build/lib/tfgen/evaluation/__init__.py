"""Evaluation: figures of a trained model on a split of its data."""

from tfgen.evaluation import features, inception
from tfgen.evaluation.likelihood import of_log_prob
from tfgen.evaluation.samples import of_samples
from tfgen.evaluation.split import evaluate, of_detection, of_translations, of_views

__all__ = ["evaluate", "features", "inception", "of_detection", "of_log_prob", "of_samples", "of_translations", "of_views"]

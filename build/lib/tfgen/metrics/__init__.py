"""Metrics: numbers from arrays; they know no model and no data set."""

from tfgen.metrics.detection import aupro, auroc, average_precision, detection, pixel_auroc
from tfgen.metrics.frechet import KernelDistance, Moments, frechet_distance
from tfgen.metrics.likelihood import active_units, bits_per_dim
from tfgen.metrics.manifold import density_coverage, precision_recall
from tfgen.metrics.quality import LEAST_IMAGES, compare
from tfgen.metrics.score import ClassifierScore, Modes, classifier_score, modes
from tfgen.metrics.similarity import psnr, similarity, ssim

__all__ = ["ClassifierScore", "KernelDistance", "LEAST_IMAGES", "Modes", "Moments", "active_units", "aupro", "auroc",
           "average_precision", "bits_per_dim", "classifier_score", "compare", "density_coverage", "detection",
           "frechet_distance", "modes", "pixel_auroc", "precision_recall", "psnr", "similarity", "ssim"]

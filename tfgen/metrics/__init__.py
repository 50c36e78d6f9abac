"""Evaluation metrics for trained models."""

from tfgen.metrics import features, quality
from tfgen.metrics.detection import aupro, auroc, average_precision, detection, pixel_auroc
from tfgen.metrics.frechet import KernelDistance, Moments, frechet_distance
from tfgen.metrics.likelihood import active_units, bits_per_dim
from tfgen.metrics.manifold import density_coverage, precision_recall
from tfgen.metrics.quality import LEAST_IMAGES, compare, of_samples
from tfgen.metrics.score import ClassifierScore, Modes, classifier_score, modes
from tfgen.metrics.similarity import psnr, similarity, ssim

__all__ = ["ClassifierScore", "KernelDistance", "LEAST_IMAGES", "Modes", "Moments", "active_units", "aupro", "auroc",
           "average_precision", "bits_per_dim", "classifier_score", "compare", "density_coverage", "detection",
           "features", "frechet_distance", "modes", "of_samples", "pixel_auroc", "precision_recall", "psnr", "quality",
           "similarity", "ssim"]

"""Anomaly detectors: trained on normal images, they score how anomalous an image is."""

from tfgen.models.detectors.autoencoder import AnomalyAutoencoder
from tfgen.models.detectors.deep_svdd import DeepSVDD
from tfgen.models.detectors.draem import DRAEM
from tfgen.models.detectors.fanogan import FAnoGAN
from tfgen.models.detectors.ganomaly import GANomaly, SkipGANomaly
from tfgen.models.detectors.padim import PaDiM
from tfgen.models.detectors.region_anomaly import RegionInpainter
from tfgen.models.detectors.vae import AnomalyVAE

__all__ = ["AnomalyAutoencoder", "AnomalyVAE", "DRAEM", "DeepSVDD", "FAnoGAN", "GANomaly", "PaDiM",
           "RegionInpainter", "SkipGANomaly"]

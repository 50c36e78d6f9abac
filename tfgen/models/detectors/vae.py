"""A VAE whose negative bound or reconstruction error scores anomalies."""

from tfgen.errors import require
from tfgen.layers.differences import SquaredError
from tfgen.models.autoencoders.vae import VAE
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.serialization import serializable


@serializable(inherit=True)
class AnomalyVAE(ReconstructionDetector, VAE):
    """A `VAE` of normal images; `score` is its difference from the reconstruction, or minus its `log_prob`.

    Args:
        difference: of image and reconstruction, see `tfgen.layers.differences`.
        bound_samples: k of the bound by which `score` judges, see `VAE.log_prob`; 0: the difference instead (An & Cho,
            2015, judge by the reconstruction term alone).
        **arguments: as for `VAE`, without a condition.
    """

    def __init__(self, encoder, decoder, difference=SquaredError(), bound_samples=0, **kwargs):
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        require(not self.num_classes, f"a detector takes no condition, received num_classes={self.num_classes}")
        self.difference = difference
        self.bound_samples = bound_samples

    def update_statistics(self, x, parameters):
        self.difference.update(x, self.likelihood.mean(parameters))

    def score(self, x):
        return -self.log_prob(x, k=self.bound_samples) if self.bound_samples else super().score(x)

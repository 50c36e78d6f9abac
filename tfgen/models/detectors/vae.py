"""A VAE whose negative bound or reconstruction error scores anomalies."""

from tfgen.errors import require
from tfgen.layers.differences import SquaredError
from tfgen.models.autoencoders.vae import VAE
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.serialization import serializable


@serializable(inherit=True)
class AnomalyVAE(ReconstructionDetector, VAE):
    """Anomaly detector: a `VAE` of normal images; `score` is the reconstruction error, or minus `log_prob`.

    Args:
        difference: error map of image and reconstruction, see `tfgen.layers.differences`.
        bound_samples: importance samples k of `VAE.log_prob`, minus which is the score; 0 uses the reconstruction error
            (An & Cho, 2015, use the reconstruction term alone).
        **arguments: as for `VAE`, without a condition.
    """

    def __init__(self, encoder, decoder, difference=SquaredError(), bound_samples=0, **kwargs):
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        require(not self.num_classes, f"a detector takes no condition, received num_classes={self.num_classes}")
        self.difference = difference
        self.bound_samples = bound_samples

    def update_statistics(self, x, parameters):
        # Of what is scored, the reconstruction of the mean: that of a draw errs more, and not equally everywhere.
        self.difference.update(x, self.reconstruct(x))

    def score(self, x):
        return -self.log_prob(x, k=self.bound_samples) if self.bound_samples else super().score(x)

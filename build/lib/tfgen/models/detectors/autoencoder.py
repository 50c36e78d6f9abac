"""An autoencoder whose reconstruction errors and codes score anomalies."""

from keras import ops

from tfgen.errors import require
from tfgen.layers.differences import CodeDistance, SquaredError
from tfgen.models.autoencoders.autoencoder import Autoencoder
from tfgen.models.detectors.base import ReconstructionDetector
from tfgen.serialization import serializable


@serializable(inherit=True)
class AnomalyAutoencoder(ReconstructionDetector, Autoencoder):
    """Anomaly detector: an `Autoencoder` of normal images; large reconstruction errors and unusual codes are anomalous.

    score(x) = difference of x and its reconstruction + code_weight * squared Mahalanobis distance of its code per
    dimension (Denouden et al., 2018).

    Args:
        difference: error map of image and reconstruction, see `tfgen.layers.differences`.
        code_weight: weight of the code term, >= 0. After calibration (`tfgen.detection.calibrate`) both terms have mean 1
            over normal images that were not used in training, for `StandardisedError` with `top` = 1.
        **arguments: as for `Autoencoder`.

    Raises:
        UserError: as `Autoencoder`, or if the codes are not flat.
    """

    def __init__(self, encoder, decoder, difference=SquaredError(), code_weight=0.0, **kwargs):
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        require(len(self.latent_shape) == 1, f"the encoder must give codes (B, d), it gives {self.latent_shape}")
        self.difference = difference
        self.code_weight = code_weight
        self.code_distance = CodeDistance(self.latent_shape[0])

    def update_statistics(self, x, codes, parameters):
        if self.corruption is not None:
            # What is usual of clean images.
            codes = self.encoder(x, training=False)
            parameters = self.decoder(codes, training=False)
        self.difference.update(x, self.likelihood.mean(parameters))
        self.code_distance.update(codes)

    def usual_terms(self):
        codes = [(self.code_distance, lambda x: self.code_distance(self.encode(x)))] if self.code_weight else []
        return [*super().usual_terms(), *codes]

    def score(self, x):
        codes = self.encode(x)
        difference = self.difference.pool(self.difference(ops.convert_to_tensor(x), self.decode(codes)))
        return difference + self.code_weight * self.code_distance(codes) if self.code_weight else difference

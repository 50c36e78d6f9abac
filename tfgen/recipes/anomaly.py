"""Anomaly detectors: trained on normal images alone, they score how strange an image is."""

from tfgen.anomaly import SquaredError
from tfgen.models import AnomalyAutoencoder
from tfgen.networks import conv
from tfgen.recipes.autoencoders import compiled, filters
from tfgen.recipes.registry import recipe


def difference(hp):
    """How an image and its reconstruction are compared."""
    return SquaredError(hp.Float("blur", 0.0, 32.0, default=0.0), hp.Boolean("peak", default=False))


@recipe(family="anomaly", paper="arXiv:1807.02011", objective=("val_mse", "min"))
def ae_anomaly(hp, spec):
    """Autoencoder whose reconstruction error tells anomalies."""
    widths, latent = filters(hp), hp.Int("latent_dim", 1, 1024, default=32)
    return compiled(AnomalyAutoencoder(conv.encoder(spec.image_shape, widths, latent),
                                       conv.decoder(latent, widths[::-1], spec.image_shape), difference(hp)), hp)

"""Anomaly detectors: trained on normal images alone, they score how strange an image is."""

import keras

from tfgen.anomaly import SquaredError
from tfgen.layers import Blemishes, EraseLattice, Jitter
from tfgen.models import DRAEM, AnomalyAutoencoder, RegionInpainter
from tfgen.networks import conv, translation
from tfgen.recipes import gans
from tfgen.recipes.autoencoders import compiled, filters
from tfgen.recipes.registry import recipe
from tfgen.recipes.translation import critic_layers, objective


def difference(hp):
    """How an image and its reconstruction are compared."""
    return SquaredError(hp.Float("blur", 0.0, 32.0, default=0.0), hp.Boolean("peak", default=False))


@recipe(family="anomaly", paper="arXiv:1807.02011", objective=("val_mse", "min"))
def ae_anomaly(hp, spec):
    """Autoencoder whose reconstruction error tells anomalies."""
    widths, latent = filters(hp), hp.Int("latent_dim", 1, 1024, default=32)
    return compiled(AnomalyAutoencoder(conv.encoder(spec.image_shape, widths, latent),
                                       conv.decoder(latent, widths[::-1], spec.image_shape), difference(hp)), hp)


@recipe(family="anomaly", paper="arXiv:2010.01942", objective=("val_l1", "min"), batch_size=16)
def region_anomaly(hp, spec):
    """Region-based detection (Nguyen et al., 2020): what differs from an adversarial inpainting of its surroundings."""
    height, width, channels = spec.image_shape
    # A quarter of the image's side at most, so that there is something to predict it from.
    side = hp.Int("region", 1, 64, default=max(1, min(8, min(height, width) // 4)))
    erasure = EraseLattice(side, hp.Int("gap", 1, 256, default=side))
    stride = min(hp.Int("stride", 1, 64, default=max(1, side // 2)), side)
    units = gans.filters(hp)
    model = RegionInpainter(
        translation.unet((height, width, channels + 1), spec.image_shape, units, dropout=0.0),
        translation.patchgan(spec.image_shape, None, units, critic_layers(hp, spec)), erasure, stride, difference(hp),
        objective(hp, "non_saturating"), hp.Float("l1_weight", 0.0, 1000.0, default=100.0),
        hp.Float("adversarial_weight", 0.0, 100.0, default=1.0))
    return gans.players(model, hp, 2e-4)


@recipe(family="anomaly", paper="arXiv:2108.07610", objective=("val_segmentation", "min"), batch_size=16)
def draem(hp, spec):
    """DRAEM (Zavrtanik et al., 2021): simulated defects are repaired, and found by image and repair."""
    height, width, channels = spec.image_shape
    units, levels = gans.filters(hp, 32), hp.Int("levels", 1, 8, default=4)
    norm = {"none": None, "instance": "instance", "batch": "batch"}[
        hp.Choice("norm", ["none", "instance", "batch"], default="batch")]

    def unet(taken, given):
        return translation.unet((height, width, taken), (height, width, given), units, norm, 0.0, levels)

    model = DRAEM(unet(channels, channels), unet(2 * channels, 1), Blemishes(hp.Float("opacity", 0.1, 1.0, default=0.5)),
                  hp.Float("l1_weight", 0.0, 1000.0, default=10.0), hp.Float("blur", 0.0, 32.0, default=0.0),
                  Jitter(1.0, hp.Boolean("flip", default=False)))
    rate, steps = hp.Float("learning_rate", 1e-5, 1e-1, default=1e-3, sampling="log"), hp.Int(
        "total_steps", 0, 100_000_000, default=0)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps) if steps else rate))
    return model

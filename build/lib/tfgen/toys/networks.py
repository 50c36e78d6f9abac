"""Small fully connected networks for points in the plane with standard deviation `scale` per coordinate."""

import keras

from tfgen.layers import SpectralDense


def generator(latent_dim=2, units=(128, 128, 128), scale=1.0):
    """Latents -> points.

    Args:
        latent_dim: number of values per latent.
        units: units per hidden layer.
        scale: factor of the last layer's outputs, about the standard deviation of a coordinate.

    Returns:
        A Functional model, (B, latent_dim) -> (B, 2).
    """
    latent = keras.Input((latent_dim,), name="z")
    x = latent
    for width in units:
        x = keras.layers.Dense(width, "relu", kernel_initializer="he_normal")(x)
    return keras.Model(latent, keras.layers.Rescaling(scale)(keras.layers.Dense(2)(x)), name="generator")


def critic(units=(128, 128, 128), scale=1.0, spectral=False, gain=1.0):
    """Points -> scores.

    Args:
        units, scale: as for `generator`; points are divided by the scale first.
        spectral: spectrally normalise every layer (Miyato et al., 2018).
        gain: factor after every normalised layer, which raises the maximum Lipschitz constant of the critic to
            gain^layers.

    Returns:
        A Functional model, (B, 2) -> (B, 1).
    """
    point = keras.Input((2,), name="x")
    x = keras.layers.Rescaling(1.0 / scale)(point)
    for width in (*units, 1):
        x = SpectralDense(width)(x) if spectral else keras.layers.Dense(width, kernel_initializer="he_normal")(x)
        x = keras.layers.Rescaling(gain)(x) if spectral and gain != 1.0 else x
        x = keras.layers.LeakyReLU(0.2)(x) if width != 1 else x
    return keras.Model(point, x, name="critic")

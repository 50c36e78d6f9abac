"""Small fully connected networks for points in the plane, as large as `scale` on both coordinates."""

import keras

from tfgen.layers import SpectralDense


def generator(latent_dim=2, units=(128, 128, 128), scale=1.0):
    """Latents -> points.

    Args:
        latent_dim: width of the latents.
        units: widths of the hidden layers.
        scale: what the last layer's outputs are multiplied by, about the standard deviation of a coordinate.

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
        gain: factor after every normalised layer, which raises the Lipschitz constant that the critic may reach to
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

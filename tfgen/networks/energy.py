"""Critics that are autoencoders: the energy of an image is its reconstruction error (EBGAN, BEGAN)."""

import keras
from keras import ops

from tfgen.networks import conv


def energy(image_shape, filters, code, power=2, with_code=False, activation="relu"):
    """Images -> energies: mean |x - decode(encode(x))|^power over an image's values.

    Args:
        image_shape: (H, W, C).
        filters: channels after the first halving.
        code: number of values per code.
        power: 1 (Berthelot et al., 2017) or 2 (Zhao et al., 2017).
        with_code: also return the code.
        activation: Keras activation of the hidden layers.

    Returns:
        A Functional model, (B, H, W, C) -> (B, 1), or [(B, 1), (B, code)].
    """
    image = keras.Input(image_shape, name="x")
    codes = conv.encoder(image_shape, filters, code, activation)(image)
    error = ops.abs(image - conv.decoder(code, filters[::-1], image_shape, activation)(codes))
    energies = ops.reshape(ops.mean(error if power == 1 else ops.square(error), axis=(1, 2, 3)), (-1, 1))
    return keras.Model(image, [energies, codes] if with_code else energies, name="critic")

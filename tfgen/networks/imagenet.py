"""Networks that others trained on ImageNet, from weights that somebody has put on the machine; nothing is downloaded."""

import os
import pathlib
import random

import keras
from keras import layers, ops

from tfgen.errors import UserError

RESNET50 = "~/.keras/models/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
# Side in pixels of the images that these networks were trained on.
SIDE = 224
# Means of ImageNet's blue, green and red, which the network's training subtracted (He et al., 2016).
MEANS = (103.939, 116.779, 123.68)


def weights_file(path, what, how):
    """The path of weights.

    Args:
        path: a file; `~` is the user's folder.
        what: "... expects ...", which begins the error.
        how: what else the user may do.

    Raises:
        UserError: if there is no such file.
    """
    path = pathlib.Path(os.path.expanduser(path))
    if not path.is_file():
        raise UserError(f"{what} at {path}, received no such file: put {path.name} there or {how}; tfgen does not download")
    return path


def refused(what, path, error):
    """The `UserError` for a file that does not load."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{what} at {path}, received a file that does not load ({reason[:120]}): fetch it anew")


def with_weights(make, path, what):
    """A network of `keras.applications` with the weights of a file.

    Args:
        make: function without arguments -> the network with other weights.
        path, what: as for `weights_file`.

    Raises:
        UserError: for a file with other weights.
    """
    # Keras draws the seeds of the initial weights from Python's generator; the file replaces these weights.
    state = random.getstate()
    try:
        network = make()
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise refused(what, path, error) from None
    finally:
        random.setstate(state)
    return network


def resnet50(image_shape, weights=None):
    """Feature maps of ResNet-50 (He et al., 2016, arXiv:1512.03385): those before each of its last three halvings.

    Grey images are repeated to three channels. Images whose shorter side has fewer than 224 pixels are enlarged to 224,
    bilinearly, as the network knows objects of that size.

    Args:
        image_shape: (H, W, C), C = 1 or 3.
        weights: path of Keras' .h5 weights without top; None uses Keras' cache, ~/.keras/models.

    Returns:
        A Functional model that is not trained, (B, H, W, C) in [0, 1] -> [(B, h, w, 256), (B, h / 2, w / 2, 512),
        (B, h / 4, w / 4, 1024)], h = H' / 4 and w = W' / 4 for images of H' x W' pixels once enlarged, all rounded up.

    Raises:
        UserError: for other numbers of channels, a missing file or one with other weights.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise UserError(f"ResNet-50 expects images of 1 or 3 channels, received {channels}: train a network instead")
    what = "ResNet-50 expects Keras' weights without top"
    path = weights_file(weights or RESNET50, what, "train a network instead")
    network = with_weights(lambda: keras.applications.ResNet50(include_top=False, weights=None), path, what)
    maps = [network.get_layer(name).output for name in ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out")]
    rested = keras.Model(network.input, maps, name="resnet50")
    rested.trainable = False
    scale = max(1.0, SIDE / min(height, width))
    image = keras.Input(image_shape, name="x")
    # Not `layers.Resizing`: it has training=True by default, which Keras hands to the layers that follow.
    x = ops.image.resize(image, (round(scale * height), round(scale * width))) if scale > 1 else image
    x = ops.repeat(x, 3, axis=-1) if channels == 1 else ops.flip(x, axis=-1)
    x = layers.Rescaling(255.0, [-mean for mean in MEANS])(x)
    return keras.Model(image, rested(x), name="features")

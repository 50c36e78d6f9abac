"""Named feature extractors, whose features define distances between sets of images."""

import hashlib
import os
import pathlib
import random

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import UserError
from tfgen.evaluation import extractor_training

INCEPTION_FILE = "~/.keras/models/inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
_INCEPTION_SIDE = 299


class Extractor:
    """Maps images to features by one function, traced once for all batch sizes.

    Args:
        name: name in records.
        forward: function of images float32 (B, H, W, C) in [0, 1] that returns a tuple: features (B, D) and, with
            `num_classes`, probabilities (B, K).
        weights: arrays or variables of the extractor, the input of `checksum`.
        resize: description of the resizing that `forward` applies, for the record.
        num_classes: K, or None without probabilities.
        image_shape: (H, W, C) of the images, or None if any shape is accepted.
        accuracy: accuracy on the validation split, or None if unknown.

    Attributes:
        checksum: the first 16 hexadecimal digits of the SHA-256 of the weights.
    """

    def __init__(self, name, forward, weights, resize="none", num_classes=None, image_shape=None, accuracy=None):
        self.name = name
        self.resize = resize
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.accuracy = accuracy
        self.checksum = _checksum(weights)
        signature = tf.TensorSpec((None, *(image_shape or (None, None, None))), tf.float32)
        self._forward = tf.function(forward, input_signature=[signature], autograph=False)

    def __call__(self, images):
        """(features float32 (B, D), probabilities float32 (B, K) or None), numpy.

        Args:
            images: float32 (B, H, W, C) in [0, 1], B >= 1.

        Raises:
            UserError: for another shape.
        """
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or not len(images) or images.shape[1:] != (self.image_shape or images.shape[1:]):
            expected = ", ".join(map(str, self.image_shape or ("H", "W", "C")))
            raise UserError(f"{self.name} expects images (B, {expected}), B >= 1, received {images.shape}: "
                             f"use the extractor of the images' own data set")
        outputs = [output.numpy() for output in self._forward(tf.convert_to_tensor(images))]
        return outputs[0], outputs[1] if self.num_classes is not None else None

    def classes(self, images, batch_size=100):
        """The likeliest class of each image, int (B,); only for an extractor with `num_classes`. Arguments as for a call."""
        parts = (images[start:start + batch_size] for start in range(0, len(images), batch_size))
        return np.concatenate([self(part)[1].argmax(1) for part in parts])

    def describe(self):
        """The entries for a record: {"extractor", "checksum", "resize"} and, if known, "accuracy"."""
        about = {"extractor": self.name, "checksum": self.checksum, "resize": self.resize}
        return about if self.accuracy is None else about | {"accuracy": round(self.accuracy, 4)}


def _checksum(weights):
    digest = hashlib.sha256()
    for weight in weights:
        array = np.ascontiguousarray(weight)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def classifier(dataset, seed=0, epochs=None, cache=None):
    """Feature extractor: a small convolutional network trained on the data set itself; trained once, then cached.

    With labels of two or more classes the network classifies them ("tfgen-classifier:NAME"). Otherwise it has no
    probabilities and predicts which of four transformations was applied: rotations by multiples of 90 degrees for square
    images ("tfgen-rotations:NAME"; Gidaris et al., 2018, arXiv:1803.07728), else the identity, rotation by 180 degrees
    and the two reflections ("tfgen-reflections:NAME").

    Distances on these features compare models of one data set; they are not comparable with Inception distances.

    Args:
        dataset: `tfgen.data.Dataset`; the network trains on its 'train' split, `accuracy` is that on 'validation'.
        seed: int >= 0, seed of the weights and the order of images.
        epochs: number of epochs; None uses `extractor_training.default_epochs`.
        cache: folder of trained networks; None uses $TFGEN_CACHE, else ~/.cache/tfgen/extractors.

    Raises:
        UserError: for images with a side below 4.
    """
    task = extractor_training.task_of(dataset)
    network = extractor_training.load_or_train(dataset, task, seed, epochs, cache)
    with_classes = task.num_classes is not None

    def forward(images):
        features, probabilities = network(images, training=False)
        return (features, probabilities) if with_classes else (features,)

    return Extractor(f"tfgen-{task.name}:{dataset.spec.name}", forward, network.get_weights(),
                     num_classes=task.num_classes, image_shape=dataset.spec.image_shape,
                     accuracy=extractor_training.accuracy(network, dataset, task))


def check(dataset):
    """Raises a `UserError` for a data set on which `classifier` cannot be trained."""
    extractor_training.task_of(dataset)


def inception_v3(weights=None):
    """Pool features (2048) and ImageNet classes of Keras' Inception-v3 (Szegedy et al., 2016, arXiv:1512.00567).

    Images of any size, grey (repeated to 3 channels) or RGB, are resized to 299 x 299, bilinear with antialiasing.
    The weights are those of Keras, so distances are close but not equal to published FIDs, which use weights of 2015.

    Args:
        weights: path of the .h5 weights with top; None uses Keras' cache, ~/.keras/models. Never downloaded.

    Raises:
        UserError: for a missing file or one with other weights.
    """
    path = pathlib.Path(os.path.expanduser(weights or INCEPTION_FILE))
    if not path.is_file():
        raise UserError(f"inception_v3 expects Keras' weights at {path}, received no such file: put "
                        f"{pathlib.Path(INCEPTION_FILE).name} there or give weights=PATH; tfgen does not download")
    # Keras draws the seeds of the initial weights from Python's generator; the file replaces these weights.
    state = random.getstate()
    try:
        network = keras.applications.InceptionV3(weights=None)
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"inception_v3 expects Keras' weights with top at {path}, received a file that does not load "
                        f"({reason[:120]}): fetch {pathlib.Path(INCEPTION_FILE).name} anew") from None
    finally:
        random.setstate(state)
    both = keras.Model(network.input, [network.get_layer("avg_pool").output, network.output])

    def forward(images):
        shape = tf.concat([tf.shape(images)[:-1], [3]], axis=0)
        images = tf.ensure_shape(tf.broadcast_to(images, shape), (None, None, None, 3))
        images = tf.image.resize(images, (_INCEPTION_SIDE, _INCEPTION_SIDE), "bilinear", antialias=True)
        return both(images * 2.0 - 1.0, training=False)

    return Extractor("keras-inception-v3", forward, both.get_weights(), num_classes=1000,
                     resize=f"bilinear to {_INCEPTION_SIDE}x{_INCEPTION_SIDE}, antialiased")

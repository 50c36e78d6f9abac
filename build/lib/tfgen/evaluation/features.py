"""Named feature extractors, whose features define distances between sets of images."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from tfgen.errors import UserError
from tfgen.evaluation import extractor_training
from tfgen.losses import perceptual_distance


class Extractor:
    """Maps images to features.

    Args:
        name: name in records.
        forward: function of images float32 (B, H, W, C) in [0, 1] that returns features (B, D) and, with `num_classes`,
            probabilities (B, K), in a list or tuple.
        weights: arrays or variables of the extractor, the input of `checksum`.
        resize: description of the resizing that `forward` applies, for the record.
        num_classes: K, or None without probabilities.
        image_shape: (H, W, C) of the images, or None if any shape is accepted.
        accuracy: accuracy on the validation split, or None if unknown.
        distance: function of two batches of images that returns their perceptual distances (B,), or None without.

    Attributes:
        checksum: the first 16 hexadecimal digits of the SHA-256 of the weights.
    """

    def __init__(self, name, forward, weights, resize="none", num_classes=None, image_shape=None, accuracy=None,
                 distance=None):
        self.name = name
        self.resize = resize
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.accuracy = accuracy
        self.checksum = _checksum(weights)
        self._forward = forward
        self._distance = distance

    def __call__(self, images):
        """(features float32 (B, D), probabilities float32 (B, K) or None), numpy.

        Args:
            images: float32 (B, H, W, C) in [0, 1], B >= 1.

        Raises:
            UserError: for another shape.
        """
        outputs = [np.asarray(output) for output in self._forward(self._checked(images))]
        return outputs[0], outputs[1] if self.num_classes is not None else None

    def _checked(self, images):
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or not len(images) or images.shape[1:] != (self.image_shape or images.shape[1:]):
            expected = ", ".join(map(str, self.image_shape or ("H", "W", "C")))
            raise UserError(f"{self.name} expects images (B, {expected}), B >= 1, received {images.shape}: "
                             f"use the extractor of the images' own data set")
        return images

    @property
    def has_distance(self):
        """Whether the extractor has a `perceptual_distance`."""
        return self._distance is not None

    def perceptual_distance(self, made, wanted, batch_size=100):
        """`tfgen.losses.perceptual_distance` of each image of one array to that of the other, by the network's feature maps.

        Args:
            made, wanted: float32 (N, H, W, C) in [0, 1].
            batch_size: images per batch.

        Returns:
            float32 (N,), >= 0.

        Raises:
            UserError: for another shape.
        """
        parts = (slice(start, start + batch_size) for start in range(0, len(made), batch_size))
        return np.concatenate([self._distance(self._checked(made[part]), self._checked(wanted[part])) for part in parts])

    def classes(self, images, batch_size=100):
        """The likeliest class of each image, int (B,); only for an extractor with `num_classes`. Arguments as for a call."""
        parts = (images[start:start + batch_size] for start in range(0, len(images), batch_size))
        return np.concatenate([self(part)[1].argmax(1) for part in parts])

    def describe(self):
        """The entries for a record: {"extractor", "checksum", "resize"} and, if known, "accuracy"."""
        about = {"extractor": self.name, "checksum": self.checksum, "resize": self.resize}
        return about if self.accuracy is None else about | {"accuracy": round(self.accuracy, 4)}


def traced(function, image_shape=None, inputs=1):
    """A function of `inputs` batches of images as a graph, traced once for all batch sizes; see `Extractor`."""
    signature = tf.TensorSpec((None, *(image_shape or (None, None, None))), tf.float32)
    return tf.function(function, input_signature=[signature] * inputs, autograph=False)


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
    maps = keras.Model(network.input, extractor_training.feature_maps(network))
    shape, outputs = dataset.spec.image_shape, 1 if task.num_classes is None else 2

    def distance(made, wanted):
        return perceptual_distance(*(maps(images, training=False) for images in (made, wanted)))

    return Extractor(f"tfgen-{task.name}:{dataset.spec.name}",
                     traced(lambda images: network(images, training=False)[:outputs], shape), network.get_weights(),
                     num_classes=task.num_classes, image_shape=shape,
                     accuracy=extractor_training.accuracy(network, dataset, task),
                     distance=traced(distance, shape, inputs=2))


def check(dataset):
    """Raises a `UserError` for a data set on which `classifier` cannot be trained."""
    extractor_training.task_of(dataset)

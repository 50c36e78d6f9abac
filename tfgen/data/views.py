"""Views: what a model gets of a record {"image", "seed"[, "label"]}.

Images are float32 (B, H, W, C) in [0, 1], labels int64 (B,), and seeds int64 (B,), one of each image's own, a pure
function of the stream's seed and the image's place in it.
"""

import tensorflow as tf

from tfgen import noise
from tfgen.errors import UserError
from tfgen.suggest import did_you_mean


def images(record):
    """The images alone."""
    return record["image"]


def labelled(record):
    """(images, labels)."""
    if "label" not in record:
        raise UserError("expected labelled data, this data set has no labels; choose a recipe without labels")
    return record["image"], record["label"]


def binarised(record):
    """x ~ Bernoulli(pixel): drawn anew each epoch in training, fixed on held-out data (Salakhutdinov & Murray, 2008)."""
    image = record["image"]
    return tf.cast(noise.uniform(record["seed"], image.shape[1:], noise.CORRUPTION) < image, tf.float32)


def corrupted(layer):
    """A view of (corrupted, clean) pairs by a `tfgen.layers.Corruption`; image i's corruption is fixed."""

    def pairs(record):
        return layer.seeded(record["image"], record["seed"]), record["image"]

    return pairs


BY_NAME = {"images": images, "labelled": labelled, "binarised": binarised}


def by_name(name):
    """The view called `name`.

    Raises:
        UserError: if there is none.
    """
    if name not in BY_NAME:
        raise UserError(f"there is no view '{name}'{did_you_mean(name, BY_NAME)}; expected one of {', '.join(BY_NAME)}")
    return BY_NAME[name]

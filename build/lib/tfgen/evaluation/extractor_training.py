"""The network of `features.classifier`: task, architecture, training and cache."""

import atexit
import dataclasses
import errno
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import files
from tfgen.data import views
from tfgen.errors import DiskFull, UserError
from tfgen.losses import perceptual

# Increase with every change of the network or its training, which invalidates cached networks.
VERSION = 1
FEATURES = 128
_BATCH = 128
_LEAST_SIDE = 4
# Number of images hashed into the cache key of a data set.
_FINGERPRINT_IMAGES = 256


@dataclasses.dataclass(frozen=True)
class Task:
    """The classification task of the network.

    Attributes:
        name: "classifier", "rotations" or "reflections".
        view: data view that yields (images, labels of the task).
        answers: number of labels of the task.
        copies: number of rows that the view generates per image.
        num_classes: number of classes of the data set if the network predicts them, else None.
    """

    name: str
    view: Callable
    answers: int
    copies: int
    num_classes: int | None


def rotations(record):
    """View of the rotations of `perceptual.rotations`."""
    return perceptual.rotations(record["image"])


def reflections(record):
    """View of the reflections of `perceptual.reflections`."""
    return perceptual.reflections(record["image"])


def task_of(dataset):
    """The task: classes if the training split has at least two, else rotations (reflections for non-square images).

    Raises:
        UserError: for images with a side below 4.
    """
    spec = dataset.spec
    height, width, _ = spec.image_shape
    if min(height, width) < _LEAST_SIDE:
        raise UserError(f"a feature extractor expects images of sides >= {_LEAST_SIDE}, received {height}x{width} of "
                        f"{spec.name!r}: load it with a larger image_size")
    if dataset.labels("train") is not None and (spec.num_classes or 0) >= 2:
        return Task("classifier", views.labelled, spec.num_classes, 1, spec.num_classes)
    if height != width:
        return Task("reflections", reflections, 4, 4, None)
    return Task("rotations", rotations, 4, 4, None)


def default_epochs(dataset, task):
    """Number of epochs for 300,000 rows, limited to 3 ... 40 (1 ... 10 for tasks with 4 rows per image)."""
    rows = len(dataset.images("train")) * task.copies
    return int(np.clip(-(-300_000 // rows), max(1, 3 // task.copies), 40 // task.copies))


def network(image_shape, answers, seed):
    """Images (B, H, W, C) in [0, 1] -> features (B, 128), probabilities (B, answers); every weight drawn from `seed`."""
    layers = keras.layers
    seeds = iter(int(word) for word in np.random.SeedSequence(seed).generate_state(32))

    def initial():
        return keras.initializers.HeNormal(seed=next(seeds) >> 1)

    def block(x, channels, strides, number):
        x = layers.Conv2D(channels, 3, strides, "same", use_bias=False, kernel_initializer=initial(), dtype="float32",
                          name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.95, dtype="float32", name=f"norm_{number}")(x)
        return layers.ReLU(dtype="float32", name=f"relu_{number}")(x)

    inputs = keras.Input(image_shape, dtype="float32", name="images")
    side = max(image_shape[:2])
    x = layers.Rescaling(2.0, -1.0, dtype="float32", name="centre")(inputs)
    x = block(x, 32, 2 if side >= 16 else 1, 0)
    x = block(x, 64, 2, 1)
    x = block(x, 64, 1, 2)
    number = 3
    while max(x.shape[1:3]) > 8:
        x = block(x, 64, 2, number)
        number += 1
    x = layers.Flatten(dtype="float32", name="flat")(x)
    features = layers.Dense(FEATURES, activation="relu", kernel_initializer=initial(), dtype="float32", name="features")(x)
    probabilities = layers.Dense(answers, activation="softmax", kernel_initializer=initial(), dtype="float32",
                                 name="probabilities")(features)
    return keras.Model(inputs, [features, probabilities], name="extractor")


def feature_maps(both):
    """The feature maps of a `network`, one (B, h, w, c) per convolution, finest first: outputs after each ReLU."""
    return [layer.output for layer in both.layers if isinstance(layer, keras.layers.ReLU)]


def train(dataset, task, seed, epochs):
    """Trains a network with Adam and cosine decay; neither reads nor changes the global random state.

    Weights are reproducible on one machine with a fixed number of threads (TF_NUM_INTRAOP_THREADS). Other machines or
    numbers of threads round differently, so that checksums differ and distances agree to a few digits only.
    """
    images = _BATCH // task.copies
    steps = epochs * dataset.steps(images)
    both = network(dataset.spec.image_shape, task.answers, seed)
    learner = keras.Model(both.input, both.output[1])
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
                    keras.losses.SparseCategoricalCrossentropy(), jit_compile=False)
    # The stream shuffles. Order 1 keeps extractors, whose checksums are in records, unchanged.
    learner.fit(dataset.train(images, seed, task.view, order=1), steps_per_epoch=steps, shuffle=False, verbose=0)
    return both


def accuracy(both, dataset, task, limit=10_000):
    """Accuracy on the first `limit` images of the validation split, None without that split or its labels."""
    if "validation" not in dataset.spec.sizes or (task.num_classes and dataset.labels("validation") is None):
        return None
    signature = tf.TensorSpec((None, *dataset.spec.image_shape), tf.float32)
    forward = tf.function(lambda images: tf.argmax(both(images, training=False)[1], axis=1), autograph=False,
                          input_signature=[signature])
    right = [np.equal(forward(images), answers)
             for images, answers in dataset.batches("validation", _BATCH, task.view, limit)]
    return float(np.mean(np.concatenate(right)))


@functools.cache
def _writable(wanted):
    """`wanted`, created if necessary; if it is not writable, a temporary folder of this process, with a printed note."""
    try:
        if wanted.parts[0] == "~":
            raise OSError(errno.ENOENT, "there is no home")
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError as error:
        spare = pathlib.Path(tempfile.mkdtemp(prefix="tfgen-"))
        atexit.register(shutil.rmtree, spare, ignore_errors=True)
        print(f"feature extractors are kept in {spare} for now, {wanted} cannot be written to ({error.strerror})",
              file=sys.stderr)
        return spare


def cache_folder(cache=None):
    """`cache`, else $TFGEN_CACHE, else ~/.cache/tfgen/extractors (a temporary folder if that is not writable)."""
    if chosen := cache or os.environ.get("TFGEN_CACHE"):
        return pathlib.Path(chosen).expanduser()
    return _writable(pathlib.Path(os.path.expanduser("~/.cache/tfgen/extractors")))


def cache_name(dataset, task, seed, epochs):
    """File name of a trained network: name of the data set and a hash of all inputs of the training."""
    images, labels = dataset.images("train"), dataset.labels("train")
    # The network learns from the images only, so pairs do not matter.
    source = {key: value for key, value in dataset.source.items() if key != "pairs"}
    about = {"source": source, "image_shape": dataset.spec.image_shape, "train": len(images), "seed": seed,
             "sizes": dataset.spec.sizes, "epochs": epochs, "task": task.name, "answers": task.answers,
             "version": VERSION}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    rows = np.linspace(0, len(images) - 1, min(_FINGERPRINT_IMAGES, len(images))).astype(int)
    digest.update(images[rows].tobytes())
    if labels is not None:
        digest.update(labels.tobytes())
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", pathlib.PurePath(dataset.spec.name).name)[:40]
    return f"{slug}-{task.name}-{digest.hexdigest()[:20]}.keras"


def _loaded(path, image_shape, answers):
    """The network in a cache file, or None for a file that is missing, broken or has another network."""
    if not path.is_file():
        return None
    try:
        both = keras.saving.load_model(path, compile=False)
        shapes = both.input_shape[1:], [tuple(shape) for shape in both.output_shape]
    except Exception:  # A broken file can raise any error; the network is then trained again.
        return None
    return both if shapes == (image_shape, [(None, FEATURES), (None, answers)]) else None


def load_or_train(dataset, task, seed=0, epochs=None, cache=None):
    """Loads the network of a data set from the cache, or trains it and writes it there.

    Raises:
        UserError: seed or epochs out of range, or a cache folder that cannot be written.
    """
    epochs = default_epochs(dataset, task) if epochs is None else epochs
    for what, value, least in (("seed", seed, 0), ("epochs", epochs, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise UserError(f"{what} expects an int >= {least}, received {value!r}: give a number of at least {least}")
    path = cache_folder(cache) / cache_name(dataset, task, int(seed), int(epochs))
    both = _loaded(path, dataset.spec.image_shape, task.answers)
    if both is not None:
        return both
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        both = train(dataset, task, int(seed), int(epochs))
        with files.written_aside(path) as aside:
            both.save(aside)
    except DiskFull as error:
        print(f"the feature extractor serves now and is not kept: {error}", file=sys.stderr)
    except OSError as error:
        raise UserError(f"the cache of feature extractors expects a folder to write to, received {path.parent} "
                        f"({error.strerror}): set TFGEN_CACHE to another") from None
    return both

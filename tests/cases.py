"""The conformance suite's cases: every recipe, with values that keep its networks tiny."""

import tfgen.catalogue  # noqa: F401, I001  # before Keras: it chooses TensorFlow's kernels

import dataclasses
import functools
import hashlib
import itertools
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import catalogue, data, recipes
from tfgen.data import DataSpec

SPEC = DataSpec("cases", (8, 8, 1), 3, {"train": 16, "validation": 8, "test": 8})
TINY = {"units": 8, "latent_dim": 3, "filters": 4, "levels": 1, "importance_samples": 3, "categories": 3,
        "codes": 2, "code_dim": 3, "critic_steps": 1, "clip": 1.0, "stage_steps": 5, "stage_one_steps": 5,
        "style_dim": 4, "mapping_layers": 2, "blocks": 1, "pool_size": 20, "total_steps": 40,
        "pretrain_share": 0.25, "head_filters": 4, "head_units": 4, "hidden_units": 8, "block_length": 10, "memory": 7,
        "warmup_steps": 1, "components": 2, "flow_steps": 2, "hidden_layers": 1, "couplings": 1, "residual_blocks": 1,
        "codebook_size": 8, "residual_filters": 2, "prior_filters": 4, "prior_blocks": 1,
        "prior_heads": 2, "prior_head_units": 2, "critic_filters": 4, "perceptual_share": 0.25, "autoencoder_share": 0.5,
        "widest": 8, "latent_channels": 2, "sampling_steps": 3, "noise_levels": 21, "grids": 2, "heads": 2,
        "classifier_filters": 4, "features": 4, "coarse_samples": 4, "fine_samples": 4,
        "position_frequencies": 2, "direction_frequencies": 1}
# Two channels after a ReLU may both be dead; with few, a generator gains less in 40 steps than its codes vary.
OWN = {"vqvae2": {"filters": 8}, "infogan": {"filters": 16}}
# {recipe: {hyperparameter: default value}}
VALUES = {row["name"]: row["hyperparameters"] for row in catalogue.rows()}

# Recipes whose models have stages, by name, so that collection builds none; tests/test_conformance.py holds them to these.
IN_STAGES = ("dalle", "deep_svdd", "fanogan", "padim", "progan", "stacked", "stackgan", "stylegan", "vqgan", "vqvae",
             "vqvae2")

# Options of `tfgen train` for a small autoencoder or VAE.
SMALL = ["--set", "latent_dim=3", "--set", "filters=4", "--set", "levels=1", "--batch-size", "256", "--quiet"]


def spec_of(name):
    """Data as the recipe's view takes it: what is translated has colours, what it becomes has not."""
    view = recipes.find(name).view
    if view not in ("paired", "unpaired"):
        return catalogue.spec_for(view, SPEC)
    return dataclasses.replace(SPEC, num_classes=None, view=view, source_shape=(8, 8, 3))


def tiny_values(name):
    """The tiny values that recipe `name` has."""
    return {key: value for key, value in (TINY | OWN.get(name, {})).items() if key in VALUES[name]}


def tiny(name, **values):
    """A compiled tiny model of a recipe."""
    return recipes.find(name).model(spec_of(name), **(tiny_values(name) | values))


def images(rows=16):
    """Smooth blobs, float32 (rows, 8, 8, 1) in [0, 1]."""
    centre = np.random.default_rng(1).uniform(2, 6, (rows, 2, 1))
    row, column = (np.exp(-np.square(np.arange(8) - centre[:, axis]) / 4) for axis in (0, 1))
    return (row[:, :, None, None] * column[:, None, :, None]).astype("float32")


def batch(name, rows=16):
    """A batch as the recipe's view gives it."""
    x, view = images(rows), recipes.find(name).view
    if view in ("paired", "unpaired"):
        # Green images, and white ones of the same or other blobs.
        return np.concatenate([0 * x, x, 0 * x], -1), x if view == "paired" else x[::-1]
    if view in catalogue.FIELD_VIEWS:
        return samples(view, x[0])
    return (x, np.arange(rows) % SPEC.num_classes) if view == "labelled" else x


def samples(view, image):
    """Coordinates and values of all pixels of an image (8, 8, 1), as a recipe's view of fields gives them."""
    if view == "posed":
        # A camera on the z axis, at a distance of 4.
        pose = np.eye(4)
        pose[2, 3] = 4.0
        dataset = data.posed(np.stack([image] * 3), np.stack([pose] * 3), 8.0)
    else:
        dataset = data.signal(image)
    return next(iter(dataset.batches("train", 64, data.views.by_name(view))))


def level_network(shape, outputs=1, classes=None, weight=0.0):
    """A network of diffusion models: images, levels(, labels) -> weight (images + level + label)."""
    x, level, label = keras.Input(shape), keras.Input(()), keras.Input((), dtype="int32")
    total = x + keras.layers.Reshape((1, 1, 1))(level)
    if classes:
        total = total + keras.layers.Reshape((1, 1, 1))(keras.ops.cast(label, "float32"))
    conv = keras.layers.Conv2D(outputs, 1, kernel_initializer=keras.initializers.Constant(weight))
    return keras.Model([x, level, label] if classes else [x, level], conv(total))


def start_of(name, seed):
    """A digest of the weights with which a tiny model of recipe `name` starts."""
    keras.utils.set_random_seed(seed)
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in tiny(name).trainable_variables)).hexdigest()


def same_starts(variables):
    """[(path, path)] of weights whose leading values are the same but for their scale."""
    leading = {v.path: np.ravel(v.numpy())[:24].astype(float) for v in variables if len(v.shape) > 1}
    drawn = {path: values for path, values in leading.items() if len(values) >= 12 and values.std() > 0}
    return [(a, b) for a, b in itertools.combinations(drawn, 2)
            for n in [min(len(drawn[a]), len(drawn[b]))]
            if abs(np.corrcoef(drawn[a][:n], drawn[b][:n])[0, 1]) > 0.999]


def dataset(name, steps):
    return tf.data.Dataset.from_tensors(batch(name)).repeat(steps)


def optimizers(model):
    """The optimizers of a model, a player each."""
    return [getattr(model, key) for key in ("optimizer", "critic_optimizer") if hasattr(model, key)]


@functools.cache
def known_to(name):
    """The hyperparameters of a recipe."""
    return set(recipes.find(name).hyperparameters(SPEC, tiny_values(name)))


def random_density(name, shape, levels, seed=0, **values):
    """A model of an autoregressive recipe with two blocks, and random weights so large that its conditionals differ."""
    recipe, spec = recipes.find(name), DataSpec("tiny", shape, 2, {"train": 8}, levels=levels)
    wanted = TINY | {"blocks": 2, "filters": 12, "head_filters": 24, "units": 18, "hidden_units": 24} | values
    keras.utils.set_random_seed(seed)
    wanted |= {"blocks": 1} if name == "pixelcnnpp" else {}
    wanted["levels"] = max(n for n in (1, 2, 3) if all(side % 2 ** (n - 1) == 0 for side in shape[:2]))
    model = recipe.model(spec, **{key: value for key, value in wanted.items() if key in known_to(name)})
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        scale = 0.3 if len(weight.shape) == 1 else 1.2 / math.sqrt(math.prod(weight.shape[:-1]))
        weight.assign(rng.normal(size=weight.shape) * scale + (weight.path.endswith("gamma")))
    return model

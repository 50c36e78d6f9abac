"""The benchmark of the recipe `vqvae`: a step of its first stage, beside a bare TensorFlow loop and PyTorch."""

import functools

import keras
import numpy as np
import tensorflow as tf

from benchmarks.job import SHAPE, Job, fit_beside
from benchmarks.keras_loop import loss_and_norm, one_pass
from tfgen import data, recipes

try:
    import torch

    from benchmarks import torch_codes
except ImportError:
    torch = None

VALUES = {"filters": 64, "residual_filters": 32, "residual_blocks": 2, "codebook_size": 256, "code_dim": 64}
# Steps of the first stage: more than any measurement takes.
STEPS = 10**6
# Of the twins: whether weights and images are in channels_last.
LAYOUTS = {"torch": False, "torch_channels_last": True}


def model_of(image_shape, **values):
    """A compiled model of the recipe `vqvae`, whose first stage is longer than any measurement."""
    spec = data.DataSpec("random", image_shape)
    return recipes.find("vqvae").model(spec, autoencoder_share=0.5, total_steps=STEPS, **values)


def loss(model, x):
    """mean (x - decoder(quantised))^2 / data_variance + the quantizer's loss, whose running averages move."""
    vectors, _, commitment = model.encoder(x, training=True)
    error = tf.reduce_mean(tf.square(x - model.decoder(vectors, training=True)))
    return error / model.data_variance + tf.reduce_mean(commitment)


def fit_loss(model, x):
    """The loss of `fit`."""
    return model.by_stage(lambda: model.compute_losses(x, training=True)["loss"])


def bare(model, dataset):
    """As `keras_loop.one_pass`, with the model's optimizer."""
    variables = model.autoencoder_variables
    return one_pass(functools.partial(loss, model), model.optimizer, variables, dataset)


def twins_of(model):
    """{variant: a model's twin in PyTorch}, where that is installed."""
    return {name: torch_codes.Twin(model, last) for name, last in LAYOUTS.items()} if torch else {}


def weights(model):
    """(arrays of the trained weights, codebook, counts and sums of the quantizer)."""
    layer = model.quantizers[0]
    groups = model.autoencoder_variables, (layer.codebook, layer.counts, layer.sums)
    return [[v.numpy() for v in group] for group in groups]


def with_dead_codes(model, x):
    """Starts a model's codebook from images; each second code is then dead. Returns which are, bool (K,)."""
    layer, dead = model.quantizers[0], np.arange(model.quantizers[0].codes) % 2 == 0
    model.encoder(x, training=True)
    layer.counts.assign(np.where(dead, 0.0, layer.counts.numpy()))
    return dead


def check_losses(copy, twins, x):
    """Asserts that all peers compute one loss with one gradient on images x, and have as many trained parameters.

    Args:
        copy: function without arguments: a model with the twins' weights.
        twins: {variant: the model in PyTorch}.
    """
    ours, peer, batch = copy(), copy(), tf.constant(x)
    wanted = loss_and_norm(lambda: fit_loss(ours, batch), ours.autoencoder_variables)
    found = {"bare": loss_and_norm(lambda: loss(peer, batch), peer.autoencoder_variables)}
    for name, pair in (found | {name: twin.loss(x) for name, twin in twins.items()}).items():
        np.testing.assert_allclose(pair, wanted, rtol=1e-4, err_msg=f"vqvae: {name} against fit")
    count = sum(int(tf.size(v)) for v in ours.autoencoder_variables)
    for twin in twins.values():
        assert twin.parameters() == count, (twin.parameters(), count)


def check_step(copy, twins, dead, x):
    """Asserts that all peers take one step on images x: codebook, running averages and trained weights.

    The trained weights may be a thousandth of the learning rate apart on average, as Adam's first step is about the sign
    of the gradient, which two libraries round differently near zero. Codes that are revived become random vectors, so that
    of these the counts alone are compared.

    Args:
        dead: bool (K,), which codes are; the other arguments as for `check_losses`.
    """
    ours, peer = copy(), copy()
    ours.train_on_batch(x)
    bare(peer, [tf.constant(x)])()
    found = {"bare": weights(peer)}
    for name, twin in twins.items():
        # Keras adds epsilon to the second moment's root before its bias correction, PyTorch after.
        twin.optimizer.param_groups[0]["eps"] /= (1.0 - ours.optimizer.beta_2) ** 0.5
        twin.step(twin.images(x))
        found[name] = twin.weights()
    trained, (codebook, counts, sums) = weights(ours)
    for name, (values, (book, numbers, totals)) in found.items():
        apart = np.mean([np.abs(a - b).mean() for a, b in zip(values, trained, strict=True)])
        np.testing.assert_allclose(apart / float(ours.optimizer.learning_rate), 0.0, atol=1e-3,
                                   err_msg=f"vqvae: weights after a step of {name} against fit")
        for theirs, mine in ((numbers, counts), (totals[~dead], sums[~dead]), (book[~dead], codebook[~dead])):
            np.testing.assert_allclose(theirs, mine, rtol=1e-3, atol=1e-5, err_msg=f"vqvae: codebook of {name} against fit")


def training(image_shape, steps, batch_size, **values):
    """{variant: function without arguments that takes `steps` steps}, checked against each other."""
    keras.utils.set_random_seed(0)
    make = functools.partial(model_of, image_shape, **values)
    first = make()
    images = np.random.default_rng(0).random((steps * batch_size, *image_shape), np.float32)
    x = images[:batch_size]
    dead = with_dead_codes(first, x)

    def copy():
        model = make()
        model.set_weights(first.get_weights())
        return model

    check_losses(copy, twins_of(first), x)
    check_step(copy, twins_of(first), dead, x)
    return fit_beside(make, first, images, batch_size, bare,
                      {name: twin.trainer(images, batch_size) for name, twin in twins_of(first).items()})


def jobs(fast):
    """{name: Job}."""
    steps, batch_size = (2, 8) if fast else (16, 128)
    tiny = {"filters": 8, "residual_filters": 4, "codebook_size": 8, "code_dim": 4, "prior_filters": 4, "prior_blocks": 1}
    values = VALUES | (tiny if fast else {})
    make = functools.partial(training, SHAPE, steps, batch_size, **values)
    marks = {"bare": 0.97, "torch": 1.0, "torch_channels_last": 1.0}
    return {"bench-vqvae": Job("Training speed of vqvae, first stage", make, batch_size, steps, marks)}

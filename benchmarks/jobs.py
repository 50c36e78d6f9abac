"""The benchmarks of training speed: one job per system, checked against its peers before anything is timed."""

import functools
import operator

import keras
import numpy as np
import tensorflow as tf

from benchmarks import (
    codes,
    diffusion,
    explicit_jobs,
    gan_loops,
    keras_loop,
    layers,
    penalties,
    precision,
    translation_loops,
)
from benchmarks.job import SHAPE, Job, fit_beside, random_images
from benchmarks.limits import limits
from tfgen import data, noise, recipes

try:
    import torch

    from benchmarks import torch_gan, torch_loop, torch_translation
except ImportError:
    torch = None
try:
    import jax

    from benchmarks import jax_loop
except ImportError:
    jax = None

SPEC = data.DataSpec("random", SHAPE)
# What the checks of a recipe leave out, because two libraries cannot share it.
QUIET = {"pix2pix": {"dropout": 0.0}}
# Hyperparameters for tests.
TINY = {"wgan_gp": {"critic_steps": 2}, "pix2pix": {"filters": 4},
        "cyclegan": {"filters": 4, "blocks": 1, "critic_layers": 1, "total_steps": 0}}


def check(recipe, model, images):
    """Asserts that all peers compute one loss with one gradient on these weights and a given noise."""
    x = tf.constant(images)
    zeros = tf.zeros((len(images), *SPEC.image_shape))
    epsilon = model.posterior_noise(noise.seeds_of(x), 0) if recipe == "vae" else zeros
    found = {"fit": lambda: model.compute_losses(x, training=False)["loss"],
             "bare": lambda: keras_loop.LOSSES[recipe](model, x, epsilon)}
    pairs = {name: keras_loop.loss_and_norm(loss_of, model.trainable_variables) for name, loss_of in found.items()}
    if torch:
        twin, count = torch_loop.build(recipe, model), sum(int(tf.size(v)) for v in model.trainable_variables)
        assert torch_loop.parameters(twin) == count, (torch_loop.parameters(twin), count)
        shaped = epsilon if recipe == "vae" else tf.transpose(epsilon, (0, 3, 1, 2))
        pairs["torch"] = torch_loop.loss_and_gradient(recipe, twin, images, shaped.numpy())
    if jax:
        twin = jax_loop.Autoencoder(recipe, model)
        pairs["jax"] = jax_loop.loss_and_norm(lambda weights: twin.loss(weights, images, epsilon.numpy()), twin.weights)
    for name, pair in pairs.items():
        np.testing.assert_allclose(pair, pairs["fit"], rtol=1e-4, err_msg=f"{recipe}: {name} against fit")


def training(recipe, steps, batch_size):
    """{variant: function without arguments that takes `steps` training steps}, checked against each other."""
    images = random_images(batch_size, steps)
    keras.utils.set_random_seed(0)
    make = functools.partial(recipes.find(recipe).model, SPEC)
    first = make()
    check(recipe, first, images[:batch_size])
    rate = float(first.optimizer.learning_rate)
    twins = {name: torch_loop.trainer(recipe, first, images, batch_size, rate, **flags)
             for name, flags in torch_loop.VARIANTS.items()} if torch else {}
    if jax:
        twins["jax"] = jax_loop.Autoencoder(recipe, first).trainer(images, batch_size, rate)
    return fit_beside(make, first, images, batch_size, functools.partial(keras_loop.bare, recipe),
                      twins | limits(first, images, batch_size))


def check_players(recipe, model, twins, batch, make, found):
    """Asserts that all peers compute both players' losses with the same gradients.

    Args:
        twins: {variant: the model in PyTorch or JAX}.
        make: function without arguments: what the generators make of the batch.
        found: {variant: (critic's loss, its gradient's norm, generator's loss, its gradient's norm)}.
    """
    wanted = keras_loop.loss_and_norm(lambda: model.critic_losses(batch, make(), True)["critic_loss"],
                                      model.critic_variables)
    wanted += keras_loop.loss_and_norm(lambda: model.generator_losses(batch, make(), True)["generator_loss"],
                                       model.generator_variables)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted, rtol=1e-3, err_msg=f"{recipe}: {name} against fit")
    count = [sum(int(tf.size(v)) for v in player) for player in (model.generator_variables, model.critic_variables)]
    for twin in twins.values():
        assert twin.parameters() == count, (twin.parameters(), count)


def check_gan(recipe, model, twins, images):
    """As `check_players`, on given latents and shares."""
    x, z = tf.constant(images), gan_loops.draw(model, len(images))
    share = np.full((len(images), 1, 1, 1), 0.3, np.float32)
    found = {"bare": gan_loops.losses(recipe, model, x, z, share)}
    found |= {name: twin.losses(images, z.numpy(), share) for name, twin in twins.items()}
    for penalty in model.penalties:
        penalty.between = lambda real, fake: share * real + (1.0 - share) * fake
    check_players(recipe, model, twins, x, lambda: {"image": model.make(z, training=True), "latent": z}, found)
    for penalty in model.penalties:
        del penalty.between


def check_translation(recipe, model, images):
    """As `check_players`, for a model without dropout; pools fill, so that images pass."""
    batch = tuple(map(tf.constant, images))
    twins = twins_of(torch and torch_translation.TWINS[recipe], model)
    found = {"bare": translation_loops.losses(recipe, model, batch)}
    found |= {name: twin.losses(images) for name, twin in twins.items()}
    check_players(recipe, model, twins, batch, lambda: model.generate(batch, training=True), found)


def twins_of(make, model):
    """{variant: the model in PyTorch}, where that is installed; make(model, channels_last) gives one."""
    return {name: make(model, last) for name, last in (("torch", False), ("torch_channels_last", True))} if torch else {}


def adversarial(recipe, steps, batch_size, **values):
    """As `training`, for a GAN with hyperparameters `values`; `steps` batches, of which a step takes as many as the
    critic's updates."""
    keras.utils.set_random_seed(0)
    make = functools.partial(recipes.find(recipe).model, SPEC, **values)
    first = make()
    rows = batch_size * first.batches_per_step
    images = np.random.default_rng(0).random((rows * max(1, steps // first.batches_per_step), *SPEC.image_shape), np.float32)
    twins = {name: torch_gan.Twin(recipe, first, **flags) for name, flags in torch_loop.VARIANTS.items()} if torch else {}
    twins |= {"jax": jax_loop.Gan(recipe, first)} if jax else {}
    check_gan(recipe, first, twins, images[:batch_size])
    return fit_beside(make, first, images, rows, functools.partial(gan_loops.bare, recipe),
                      {name: twin.trainer(images, batch_size) for name, twin in twins.items()}
                      | limits(first, images, rows), example=functools.partial(gan_loops.Example, recipe))


def translation(recipe, side, steps, batch_size, values):
    """As `training`, for square RGB images translated to such, by the recipe with hyperparameters `values`."""
    keras.utils.set_random_seed(0)
    entry, shape = recipes.find(recipe), (side, side, 3)
    make = functools.partial(entry.model, data.DataSpec("random", shape, view=entry.view, source_shape=shape), **values)
    first, quiet = make(), make(**QUIET.get(recipe, {}))
    quiet.set_weights(first.get_weights())
    images = tuple(np.random.default_rng(0).random((2, steps * batch_size, *shape), np.float32))
    check_translation(recipe, quiet, [x[:batch_size] for x in images])
    twins = twins_of(torch and torch_translation.TWINS[recipe], first)
    return fit_beside(make, first, images, batch_size, functools.partial(translation_loops.bare, recipe),
                       {name: twin.trainer(images, batch_size) for name, twin in twins.items()})


def jobs(fast):
    """{name: Job}; fast: tiny ones, and one of those that differ only in the images' size."""
    steps, batch_size = (2, 8) if fast else (64, 128)
    gan_steps, gan_batch = (10, 8) if fast else (20, 64)
    marks, found = {"bare": 0.97, "torch": 1.5, "torch_channels_last": 1.0, "torch_fused": 1.0, "torch_compiled": 1.0,
                    "jax": 1.0}, {}
    for recipe in ("vae", "denoising"):
        found[f"bench-{recipe}"] = Job(f"Training speed of {recipe}", functools.partial(training, recipe, steps, batch_size),
                                       batch_size, steps, marks, shared={"torch": 1.2})
    for recipe, eager in (("dcgan", 1.5), ("wgan_gp", 1.3)):
        found[f"bench-{recipe.replace('_', '-')}"] = Job(
            f"Training speed of {recipe}", functools.partial(adversarial, recipe, gan_steps, gan_batch,
                                                             **TINY.get(recipe, {}) if fast else {}),
            gan_batch, gan_steps, marks | {"example": 1.0, "torch": eager})
    marks = {"bare": 0.97, "torch": 1.0, "torch_channels_last": 1.0}
    for recipe, usual, values in (("pix2pix", 8, {"filters": 32}), ("cyclegan", 4, {"filters": 16, "total_steps": 0})):
        for side in (32,) if fast else (32, 64):
            size, batch, taken = (16, 2, 1) if fast else (side, usual * 32 // side, 48)
            make = functools.partial(translation, recipe, size, taken, batch, TINY[recipe] if fast else values)
            found[f"bench-{recipe}-{side}"] = Job(f"Training speed of {recipe}, {side}x{side}", make, batch, taken,
                                                  marks | ({"torch": 1.2} if size == 64 else {}),
                                                  (size, size, 3), limit=60.0)
    for kind in penalties.ENCODERS:
        found[f"bench-contractive-{kind.replace('_', '-')}"] = Job(
            f"Contractive penalty, forward and backward, {kind.replace('_', ' ')} encoder, 64 latents",
            functools.partial(penalties.variants, kind, batch_size=batch_size, steps=steps // 2), batch_size, steps // 2,
            {"naive": 5.0}, unit="steps_per_s", ours=("ours",))
    return functools.reduce(operator.or_, (kind.jobs(fast) for kind in (layers, explicit_jobs, codes, precision, diffusion)),
                            found)

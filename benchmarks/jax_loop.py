"""The recipes `vae`, `dcgan` and `wgan_gp` in JAX: networks as functions of their weights, a step of which is compiled.

`function` reads a Keras network layer by layer, so that kernels and layouts need no conversion. Batches are placed on the
device before anything is timed; buffers of weights and of Adam's moments are given away to each step (`donate_argnums`).
"""

import functools

import jax
import jax.numpy as jnp
import keras
import optax

from benchmarks.gan_loops import PENALTY
from tfgen import layers as ours

NHWC = ("NHWC", "HWIO", "NHWC")
ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "tanh": jnp.tanh}


def biased(layer, y, weights):
    """Adds the bias, if there is one, and applies the layer's activation."""
    return ACTIVATIONS[layer.activation.__name__](y + weights[1] if len(weights) > 1 else y)


def dense(layer, x, weights):
    return biased(layer, x @ weights[0], weights)


def convolution(layer, x, weights):
    return biased(layer, jax.lax.conv_general_dilated(x, weights[0], layer.strides, layer.padding.upper(),
                                                      dimension_numbers=NHWC), weights)


def transposed(layer, x, weights):
    # Keras' kernels (H, W, out, in) are those of the convolution that this one transposes.
    return biased(layer, jax.lax.conv_transpose(x, weights[0], layer.strides, layer.padding.upper(), dimension_numbers=NHWC,
                                                transpose_kernel=True), weights)


def batch_norm(layer, x, weights):
    """By the batch's statistics, as in training."""
    return normalised(x, (0, 1, 2), layer.epsilon, weights)


def group_norm(layer, x, weights):
    """Of one group: by the statistics of each image."""
    return normalised(x, (1, 2, 3), layer.epsilon, weights)


def normalised(x, axes, epsilon, weights):
    return (x - x.mean(axes, keepdims=True)) * jax.lax.rsqrt(x.var(axes, keepdims=True) + epsilon) * weights[0] + weights[1]


LAYERS = {
    keras.layers.InputLayer: lambda layer, x, weights: x,
    keras.layers.Dense: dense, keras.layers.Conv2D: convolution, ours.Conv2DTranspose: transposed,
    keras.layers.BatchNormalization: batch_norm, ours.GroupNorm: group_norm,
    keras.layers.Flatten: lambda layer, x, weights: x.reshape(len(x), -1),
    keras.layers.Reshape: lambda layer, x, weights: x.reshape(len(x), *layer.target_shape),
    keras.layers.ReLU: lambda layer, x, weights: jax.nn.relu(x),
    keras.layers.LeakyReLU: lambda layer, x, weights: jax.nn.leaky_relu(x, layer.negative_slope),
    keras.layers.Activation: lambda layer, x, weights: ACTIVATIONS[layer.activation.__name__](x),
    keras.layers.Rescaling: lambda layer, x, weights: x * layer.scale + layer.offset}


def function(network):
    """(a chain of layers as a function of (weights, x), its weights: a list of arrays per layer).

    Moving averages of batch normalisation are left out: no figure here uses them.
    """
    def apply(weights, x):
        for layer, own in zip(network.layers, weights, strict=True):
            compute = next(LAYERS[kind] for kind in type(layer).__mro__ if kind in LAYERS)
            x = compute(layer, x, own)
        return x

    return apply, [[jnp.asarray(w.numpy()) for w in layer.trainable_weights] for layer in network.layers]


def cross_entropy(logits, x):
    """Of Bernoulli pixels, nats in all."""
    return jnp.sum(jax.nn.softplus(logits) - x * logits)


def loss_and_norm(loss_of, weights):
    """(loss, norm of its gradient) as numbers."""
    loss, gradient = jax.jit(jax.value_and_grad(loss_of))(weights)
    return float(loss), float(optax.global_norm(gradient))


class Autoencoder:
    """The recipe `vae` or `denoising`: its weights and loss."""

    def __init__(self, recipe, model):
        self.vae, self.model = recipe == "vae", model
        (self.encode, encoder), (self.decode, decoder) = function(model.encoder), function(model.decoder)
        self.weights = encoder, decoder

    def loss(self, weights, x, epsilon):
        """As `keras_loop.LOSSES`, at given noise."""
        encoder, decoder = weights
        if not self.vae:
            return cross_entropy(self.decode(decoder, self.encode(encoder, x + epsilon)), x) / len(x)
        mean, log_var = jnp.split(self.encode(encoder, x), 2, axis=-1)
        kl = 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - 1.0 - log_var)
        return (cross_entropy(self.decode(decoder, mean + jnp.exp(0.5 * log_var) * epsilon), x) + kl) / len(x)

    def trainer(self, images, batch_size, learning_rate):
        """A function without arguments that trains for one pass over `images` (N, H, W, C)."""
        optimizer = optax.adam(learning_rate, eps=1e-7)
        shape = self.model.latent_shape if self.vae else images.shape[1:]
        sigma = 1.0 if self.vae else self.model.corruption.sigma

        def update(state, x):
            weights, moments, key = state
            key, own = jax.random.split(key)
            loss, gradient = jax.value_and_grad(self.loss)(weights, x, sigma * jax.random.normal(own, (len(x), *shape)))
            change, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(weights, change), moments, key), loss

        return one_pass(update, (self.weights, optimizer.init(self.weights), jax.random.key(0)), images, batch_size)


class Gan:
    """The recipe `dcgan` or `wgan_gp`: its weights, losses and updates."""

    def __init__(self, recipe, model):
        self.recipe, self.model = recipe, model
        (self.make, generator), (self.score, critic) = function(model.generator), function(model.critic)
        self.weights = generator, critic

    def critic_loss(self, critic, x, fake, share):
        real, made = self.score(critic, x), self.score(critic, fake)
        if self.recipe == "dcgan":
            return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(made))
        gradient = jax.grad(lambda between: jnp.sum(self.score(critic, between)))(share * x + (1.0 - share) * fake)
        # Of images in [-1, 1], of which the network here has half the values.
        norms = jnp.sqrt(jnp.sum((gradient / 2.0) ** 2, axis=(1, 2, 3)) + 1e-12)
        return jnp.mean(made) - jnp.mean(real) + PENALTY * jnp.mean((norms - 1.0) ** 2)

    def generator_loss(self, generator, critic, z):
        scores = self.score(critic, self.make(generator, z))
        return jnp.mean(jax.nn.softplus(-scores)) if self.recipe == "dcgan" else -jnp.mean(scores)

    def losses(self, x, z, share):
        """As `gan_loops.losses`."""
        generator, critic = self.weights
        fake = self.make(generator, z)
        return [*loss_and_norm(lambda weights: self.critic_loss(weights, x, fake, share), critic),
                *loss_and_norm(lambda weights: self.generator_loss(weights, critic, z), generator)]

    def parameters(self):
        """Numbers of trained values: the generator's, the critic's."""
        return [sum(w.size for w in jax.tree.leaves(player)) for player in self.weights]

    def trainer(self, images, batch_size):
        """A function that trains for one pass; one generator forward serves the last updates of both players."""
        optimizers = [optax.adam(float(keras_one.learning_rate), keras_one.beta_1, keras_one.beta_2, eps=1e-7)
                      for keras_one in (self.model.optimizer, self.model.critic_optimizer)]
        uniform, steps = type(self.model.prior).__name__ == "Uniform", self.model.critic_steps

        def update(state, rows):
            (generator, critic), (first, second), key = state
            for x in jnp.split(rows, steps):
                key, latents, shares = jax.random.split(key, 3)
                shape = len(x), *self.model.latent_shape
                z = jax.random.uniform(latents, shape, minval=-1.0) if uniform else jax.random.normal(latents, shape)
                fake, back = jax.vjp(functools.partial(self.make, x=z), generator)
                share = jax.random.uniform(shares, (len(x), 1, 1, 1))
                gradient = jax.grad(self.critic_loss)(critic, x, fake, share)
                change, second = optimizers[1].update(gradient, second)
                critic = optax.apply_updates(critic, change)
            objective = jnp.negative if self.recipe == "wgan_gp" else lambda scores: jax.nn.softplus(-scores)
            loss, towards = jax.value_and_grad(lambda images: jnp.mean(objective(self.score(critic, images))))(fake)
            change, first = optimizers[0].update(back(towards)[0], first)
            return ((optax.apply_updates(generator, change), critic), (first, second), key), loss

        moments = tuple(optimizer.init(player) for optimizer, player in zip(optimizers, self.weights, strict=True))
        return one_pass(update, (self.weights, moments, jax.random.key(0)), images, batch_size * steps)


def one_pass(update, state, images, rows):
    """A function without arguments that takes a compiled step per batch of `rows` images; returns the last loss."""
    step = jax.jit(update, donate_argnums=0)
    # Steps give their state's buffers away, and the weights serve checks too.
    state = [jax.tree.map(jnp.copy, state)]
    batches = [jnp.asarray(images[start:start + rows]) for start in range(0, len(images), rows)]

    def run():
        for x in batches:
            state[0], loss = step(state[0], x)
        return float(loss)

    return run


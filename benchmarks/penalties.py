"""The contractive penalty against the naive one, which forms the whole Jacobian."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.losses.penalties import Contractive
from tfgen.networks import mlp

ENCODERS = {"one_layer": [], "deep": [256]}


def naive(encoder, x, codes):
    """mean ||d codes / d x||_F^2 from `tape.batch_jacobian`."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        codes = encoder(x, training=True)
    return tf.reduce_mean(tf.reduce_sum(tape.batch_jacobian(codes, x) ** 2, axis=(1, 2, 3, 4)))


def stepper(encoder, penalty):
    """A compiled function of images: (penalty, its gradients), with the encoder's forward pass."""

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            value = penalty(encoder, x, encoder(x, training=True))
        variables = encoder.trainable_variables
        return value, tape.gradient(value, variables, unconnected_gradients="zero")

    return step


def pair(kind, x, latent_dim):
    """{"ours", "naive"}: steps of one encoder; asserts that they agree, Hutchinson's estimate on its average."""
    keras.utils.set_random_seed(0)
    encoder = mlp.encoder(x.shape[1:], ENCODERS[kind], latent_dim, "sigmoid", "sigmoid")
    steps = {"ours": stepper(encoder, Contractive(1.0)), "naive": stepper(encoder, naive)}
    exact = float(steps["naive"](x)[0])
    ours = np.mean([float(steps["ours"](x)[0]) for _ in range(1 if kind == "one_layer" else 50)])
    np.testing.assert_allclose(ours, exact, rtol=1e-4 if kind == "one_layer" else 0.1)
    return steps


def variants(kind, latent_dim=64, batch_size=128, steps=20):
    """{"ours", "naive"}: functions without arguments that take `steps` steps."""
    x = tf.constant(np.random.default_rng(0).random((batch_size, 28, 28, 1), np.float32))

    def several(step):
        for _ in range(steps):
            value, _ = step(x)
        return float(value)

    return {name: lambda step=step: several(step) for name, step in pair(kind, x, latent_dim).items()}

"""The training loop one would write by hand in TensorFlow, without Keras' trainer, metrics or callbacks."""

import tensorflow as tf


def vae_loss(model, x, epsilon):
    """-ELBO of Bernoulli pixels at z = mean + sigma epsilon."""
    mean, log_var = tf.split(model.encoder(x, training=True), 2, axis=-1)
    kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_var) - 1.0 - log_var, axis=-1)
    return tf.reduce_mean(cross_entropy(model.decoder(mean + tf.exp(0.5 * log_var) * epsilon, training=True), x) + kl)


def denoising_loss(model, x, epsilon):
    """Cross-entropy of the clean images given x + epsilon."""
    return tf.reduce_mean(cross_entropy(model.decoder(model.encoder(x + epsilon, training=True), training=True), x))


def cross_entropy(logits, x):
    """Of Bernoulli pixels, nats per image: (B,)."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits), axis=(1, 2, 3))


LOSSES = {"vae": vae_loss, "denoising": denoising_loss}


def loss_and_norm(loss_of, variables):
    """(loss, norm of its gradient) as numbers; loss_of takes no arguments."""
    with tf.GradientTape() as tape:
        loss = loss_of()
    return float(loss), float(tf.linalg.global_norm(tape.gradient(loss, variables)))


def bare(recipe, model, dataset):
    """As `one_pass`, with the networks and the optimizer of a compiled model."""
    model.optimizer.build(model.trainable_variables)

    def loss_of(x):
        if recipe == "vae":
            return vae_loss(model, x, tf.random.normal((tf.shape(x)[0], *model.latent_shape)))
        return denoising_loss(model, x, model.corruption.sigma * tf.random.normal(tf.shape(x)))

    return one_pass(loss_of, model.optimizer, model.trainable_variables, dataset)


def one_pass(loss_of, optimizer, variables, dataset):
    """A function without arguments that takes a step on `loss_of(x)` per batch x of `dataset`; returns the last loss."""
    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = loss_of(x)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def run():
        for x in dataset:
            loss = step(x)
        return float(loss)

    return run

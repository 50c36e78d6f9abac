"""The same training written out by hand: one tf.function a step, no trainer."""

import keras
import tensorflow as tf


def vae_loss(encoder, decoder, x, noise):
    """-ELBO of a Bernoulli VAE at z = mean + exp(log_var / 2) * noise."""
    mean, log_var = tf.split(encoder(x, training=True), 2, axis=-1)
    logits = decoder(mean + tf.exp(0.5 * log_var) * noise, training=True)
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
    kl = 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_var) - 1.0 - log_var, axis=-1)
    return tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=(1, 2, 3)) + kl)


def denoising_loss(encoder, decoder, x, noise):
    """Cross-entropy of the clean image from one with noise."""
    logits = decoder(encoder(x + noise, training=True), training=True)
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
    return tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=(1, 2, 3)))


def loop(model, loss, noise_shape, sigma, dataset, steps):
    """A function that trains `steps` steps on the networks of `model`."""
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    iterator = iter(dataset)

    @tf.function
    def step(x):
        noise = sigma * tf.random.normal((tf.shape(x)[0], *noise_shape))
        with tf.GradientTape() as tape:
            value = loss(model.encoder, model.decoder, x, noise)
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    def run():
        for _ in range(steps):
            value = step(next(iterator))
        return float(value)

    return run

"""GAN steps as others write them: a bare TensorFlow loop, the way of Keras' public examples, and PyTorch's eager mode.

All take the networks of a recipe (`dcgan`, `wgan_gp`), its objective, penalty, number of critic steps and optimizers.
`losses` gives each player's loss at given latents, so that the peers can be checked against each other.
"""

import keras
import tensorflow as tf

from benchmarks.keras_loop import loss_and_norm

PENALTY = 10.0


def logistic(real, fake):
    """(critic's loss, generator's loss) of the non-saturating GAN from scores."""
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    ones, zeros = tf.ones_like(real), tf.zeros_like(fake)
    return (tf.reduce_mean(entropy(ones, real)) + tf.reduce_mean(entropy(zeros, fake)),
            tf.reduce_mean(entropy(tf.ones_like(fake), fake)))


def wasserstein(real, fake):
    """The same of the Wasserstein GAN."""
    return tf.reduce_mean(fake) - tf.reduce_mean(real), -tf.reduce_mean(fake)


LOSSES = {"dcgan": logistic, "wgan_gp": wasserstein}


def penalty(critic, real, fake, share):
    """PENALTY * mean (||gradient|| - 1)^2 at share * real + (1 - share) * fake, of the critic of images in [-1, 1]."""
    between = share * real + (1.0 - share) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = critic(between, training=True)
    norms = tf.sqrt(tf.reduce_sum((tape.gradient(scores, between) / 2.0) ** 2, axis=(1, 2, 3)) + 1e-12)
    return PENALTY * tf.reduce_mean((norms - 1.0) ** 2)


def critic_loss(recipe, model, x, fake, share):
    """The critic's loss, real and made images in a pass each: DCGAN's statistics must not mix."""
    loss = LOSSES[recipe](model.critic(x, training=True), model.critic(fake, training=True))[0]
    return loss + penalty(model.critic, x, fake, share) if recipe == "wgan_gp" else loss


def losses(recipe, model, x, z, share):
    """(critic's loss, its gradient's norm, generator's loss, its gradient's norm) at given latents."""

    def generator_loss():
        scores = model.critic(model.generator(z, training=True), training=True)
        return LOSSES[recipe](scores, scores)[1]

    return [*loss_and_norm(lambda: critic_loss(recipe, model, x, model.generator(z, training=True), share),
                           model.critic_variables),
            *loss_and_norm(generator_loss, model.generator_variables)]


def draw(model, rows):
    """Latents of the recipe's prior."""
    shape = (rows, *model.latent_shape)
    return tf.random.uniform(shape, -1.0, 1.0) if type(model.prior).__name__ == "Uniform" else tf.random.normal(shape)


def bare(recipe, model, dataset):
    """A function that trains for one pass: one generator forward serves both last updates, no trainer, no metrics."""
    generator, critic = model.generator.trainable_variables, model.critic.trainable_variables

    def update_critic(x, fake):
        with tf.GradientTape() as tape:
            loss = critic_loss(recipe, model, x, fake, tf.random.uniform((tf.shape(x)[0], 1, 1, 1)))
        model.critic_optimizer.apply_gradients(zip(tape.gradient(loss, critic), critic))
        return loss

    @tf.function
    def step(x):
        *earlier, last = tf.split(x, model.critic_steps)
        for part in earlier:
            update_critic(part, model.generator(draw(model, part.shape[0]), training=True))
        with tf.GradientTape() as tape:
            fake = model.generator(draw(model, last.shape[0]), training=True)
            with tape.stop_recording():
                first = update_critic(last, fake)
            scores = model.critic(fake, training=True)
            loss = LOSSES[recipe](scores, scores)[1]
        model.optimizer.apply_gradients(zip(tape.gradient(loss, generator), generator))
        return first, loss

    def run():
        for x in dataset:
            found = step(x)
        return float(found[1])

    return run


class Example(keras.Model):
    """The step of Keras' public GAN examples: the generator runs anew for its own update, logs are the last batch's.

    Args:
        recipe: which losses.
        model: a compiled `tfgen.GAN`, whose networks and optimizers are taken.
    """

    def __init__(self, recipe, model):
        super().__init__()
        self.recipe, self.parts = recipe, model
        self.generator, self.critic, self.critic_steps = model.generator, model.critic, model.critic_steps
        self.compile(optimizer=model.optimizer)
        self.critic_optimizer = model.critic_optimizer

    def train_step(self, data):
        for x in tf.split(data, self.critic_steps):
            z = draw(self.parts, tf.shape(x)[0])
            with tf.GradientTape() as tape:
                fake = self.generator(z, training=True)
                share = tf.random.uniform((tf.shape(x)[0], 1, 1, 1))
                critic = critic_loss(self.recipe, self, x, fake, share)
            gradients = tape.gradient(critic, self.critic.trainable_variables)
            self.critic_optimizer.apply_gradients(zip(gradients, self.critic.trainable_variables))
        z = draw(self.parts, tf.shape(x)[0])
        with tf.GradientTape() as tape:
            scores = self.critic(self.generator(z, training=True), training=True)
            loss = LOSSES[self.recipe](scores, scores)[1]
        gradients = tape.gradient(loss, self.generator.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.generator.trainable_variables))
        return {"critic_loss": critic, "generator_loss": loss}

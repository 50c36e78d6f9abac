"""The steps of pix2pix and CycleGAN as one writes them by hand in TensorFlow, over the networks of a compiled model.

The weights of the losses, and what the critics see, are those of the recipes `pix2pix` and `cyclegan`. Each class says
what the generators make, and what each player minimises given it; real and made images go through a critic in one pass.
"""

import tensorflow as tf

from benchmarks.keras_loop import loss_and_norm

# Weights of distances of images in [-1, 1], which are twice those of [0, 1].
L1, CYCLE, IDENTITY, POOL = 200.0, 20.0, 10.0, 50


def entropy(scores, target):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(scores), target), scores))


def distance(x, y):
    return tf.reduce_mean(tf.abs(x - y))


def both(network, x, y):
    """What a network makes of two batches, in one pass."""
    return tf.split(network(tf.concat([x, y], 0), training=True), 2)


class Pix2Pix:
    """Batches are (x, y), made images those of x.

    Args:
        model: a compiled `tfgen.Pix2Pix`.
    """

    def __init__(self, model):
        self.model = model
        self.generator, self.critic = model.generator, model.critic

    def generate(self, batch):
        x, _ = batch
        seeds = tf.zeros(tf.shape(x)[:1], tf.int64)
        return self.generator([x, seeds] if len(self.generator.inputs) == 2 else x, training=True)

    def critic_loss(self, batch, made):
        x, y = batch
        pairs = [tf.concat([x, x], 0), tf.concat([y, made], 0)]
        real, fake = tf.split(self.critic(pairs, training=True), 2)
        return 0.5 * (entropy(real, 1.0) + entropy(fake, 0.0))

    def generator_loss(self, batch, made):
        x, y = batch
        return entropy(self.critic([x, made], training=True), 1.0) + L1 * distance(y, made)


class Pool:
    """The last `POOL` made images: while it fills they pass, then each passes or is exchanged for an older one.

    Full once it cannot take another batch.
    """

    def __init__(self, image_shape):
        self.images = tf.Variable(tf.zeros((POOL, *image_shape)), trainable=False)
        self.count = tf.Variable(0, trainable=False)

    def exchange(self, x):
        rows = x.shape[0]
        if self.count + rows <= POOL:
            self.images.scatter_update(tf.IndexedSlices(x, self.count + tf.range(rows)))
            self.count.assign_add(rows)
            return x
        place = tf.random.shuffle(tf.range(self.count))[:rows]
        old, swap = tf.gather(self.images, place), tf.random.uniform((rows, 1, 1, 1)) < 0.5
        self.images.scatter_update(tf.IndexedSlices(tf.where(swap, x, old), place))
        return tf.where(swap, old, x)


class CycleGAN:
    """Batches are (a, b); of each generator's domain go through it the other's images and, for the identity, its own.

    Args:
        model: a compiled `tfgen.CycleGAN`.
    """

    def __init__(self, model):
        self.model = model
        self.there, self.back = model.generator, model.back_generator
        self.critics = model.source_critic, model.critic
        self.pools = Pool(model.source_shape), Pool(model.image_shape)

    def generate(self, batch):
        a, b = batch
        made_b, same_b = both(self.there, a, b)
        made_a, same_a = both(self.back, b, a)
        return (made_a, made_b), (self.back(made_b, training=True), self.there(made_a, training=True)), (same_a, same_b)

    def critic_loss(self, batch, made):
        loss = 0.0
        for critic, pool, x, own in zip(self.critics, self.pools, batch, made[0]):
            real, fake = both(critic, x, pool.exchange(own))
            # Half of least squares that have a factor of 1/2.
            loss += 0.25 * (tf.reduce_mean((real - 1.0) ** 2) + tf.reduce_mean(fake**2))
        return loss

    def generator_loss(self, batch, made):
        loss = 0.0
        for critic, x, own, cycled, same in zip(self.critics, batch, *made):
            loss += tf.reduce_mean((critic(own, training=True) - 1.0) ** 2)
            loss += CYCLE * distance(x, cycled) + IDENTITY * distance(x, same)
        return loss


LOOPS = {"pix2pix": Pix2Pix, "cyclegan": CycleGAN}


def losses(recipe, model, batch):
    """(critic's loss, its gradient's norm, generator's loss, its gradient's norm)."""
    loop = LOOPS[recipe](model)
    return [*loss_and_norm(lambda: loop.critic_loss(batch, loop.generate(batch)), model.critic_variables),
            *loss_and_norm(lambda: loop.generator_loss(batch, loop.generate(batch)), model.generator_variables)]


def bare(recipe, model, dataset):
    """A function that trains for one pass: one generator forward serves both updates, no trainer, no metrics."""
    loop, generator, critic = LOOPS[recipe](model), model.generator_variables, model.critic_variables

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            made = loop.generate(batch)
            with tape.stop_recording():
                with tf.GradientTape() as second:
                    first = loop.critic_loss(batch, made)
                model.critic_optimizer.apply_gradients(zip(second.gradient(first, critic), critic))
            loss = loop.generator_loss(batch, made)
        model.optimizer.apply_gradients(zip(tape.gradient(loss, generator), generator))
        return first, loss

    def run():
        for batch in dataset:
            found = step(batch)
        return float(found[1])

    return run

"""Choices of layers: what doubles a grid, and the rectifier of a critic with a penalty on its gradient."""

import functools

import keras
import numpy as np
import tensorflow as tf

from benchmarks.job import Job
from tfgen import layers
from tfgen.losses.penalties import MaxGradientPenalty
from tfgen.networks import dcgan

# (Side, channels) before and after a step of DCGAN's generator of 28x28 images.
BEFORE, AFTER = (7, 128), (14, 64)


def as_convolution(kernel):
    """The 3x3 kernel (3, 3, C, 4 F) of which `depth_to_space` makes the transposed convolution of a kernel (4, 4, F, C),
    stride 2, "same": 16 of its 36 blocks are not zero."""
    taps = {0: {0: 3, 1: 1}, 1: {1: 2, 2: 0}}  # {row within a place: {row of this kernel: row of the other}}
    found = np.zeros((3, 3, kernel.shape[3], 4, kernel.shape[2]), np.float32)
    for row, rows in taps.items():
        for column, columns in taps.items():
            for i, j in ((i, j) for i in rows for j in columns):
                found[i, j, :, 2 * row + column] = kernel[rows[i], columns[j]].T
    return found.reshape(3, 3, kernel.shape[3], -1)


def stepped(compute, x, variables, steps):
    """A function without arguments that computes `steps` times a sum of squares and its gradients."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(compute(x)))
        return tape.gradient(loss, [x, *variables])

    return lambda: [step() for _ in range(steps)][-1][0].numpy()


def doubling(batch_size, steps, before=BEFORE, after=AFTER):
    """{variant: function without arguments}: transposed convolution, and convolutions before `depth_to_space`."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(batch_size, before[0], before[0], before[1])), tf.float32)
    transposed = layers.Conv2DTranspose(after[1], 4, strides=2, padding="same", use_bias=False)
    transposed.build(x.shape)
    kernels = {"depth_3x3": tf.Variable(as_convolution(transposed.kernel.numpy())),
               "depth_2x2": tf.Variable(rng.normal(size=(2, 2, before[1], 4 * after[1])).astype("float32"))}

    def shuffled(kernel, x):
        return tf.nn.depth_to_space(tf.nn.conv2d(x, kernel, 1, "SAME"), 2)

    np.testing.assert_allclose(shuffled(kernels["depth_3x3"], x), transposed(x), atol=1e-4)
    found = {"transposed": stepped(transposed, x, transposed.trainable_variables, steps)}
    return found | {name: stepped(functools.partial(shuffled, kernel), x, [kernel], steps)
                    for name, kernel in kernels.items()}


def penalised(batch_size, steps, filters=64):
    """{variant: function without arguments}: gradients of a penalty on the gradient of DCGAN's critic, which are equal."""
    real, fake = tf.constant(np.random.default_rng(0).random((2, batch_size, 28, 28, 1)), tf.float32)
    found, gradients = {}, []
    for name, rectifier in (("ending", layers.LeakyReLU), ("keras_rectifier", keras.layers.LeakyReLU)):
        keras.utils.set_random_seed(0)
        critic = keras.models.clone_model(dcgan.critic((28, 28, 1), filters), clone_function=functools.partial(
            with_rectifier, rectifier))
        penalty = MaxGradientPenalty(seed=0)
        penalty.between = lambda real, fake: 0.3 * real + 0.7 * fake

        @tf.function
        def step(critic=critic, penalty=penalty):
            with tf.GradientTape() as tape:
                loss = penalty(lambda images: critic(images, training=True), real, fake)
            weights = [weight.value for weight in critic.trainable_variables]
            return tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        gradients.append(step())
        found[name] = lambda step=step: [step() for _ in range(steps)][-1][0].numpy()
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    return found


def with_rectifier(rectifier, layer):
    """A new layer as the given one, but for leaky rectifiers."""
    return rectifier(0.2) if isinstance(layer, keras.layers.LeakyReLU) else type(layer).from_config(layer.get_config())


def jobs(fast):
    """{name: Job}."""
    steps, batch_size, less = (1, 2, {"filters": 2}) if fast else (10, 64, {})
    small = {"before": (3, 4), "after": (6, 2)} if fast else {}
    return {"bench-doubling": Job("Doubling a grid, forward and backward, 7x7x128 to 14x14x64",
                                  functools.partial(doubling, batch_size, steps, **small), batch_size, steps,
                                  {}, unit="steps_per_s", ours=("transposed",)),
            "bench-rectifier": Job("Gradient of a penalty on the gradient of DCGAN's critic, 28x28x1",
                                   functools.partial(penalised, batch_size, steps, **less), batch_size, steps,
                                   {"keras_rectifier": 1.2}, unit="steps_per_s", ours=("ending",))}

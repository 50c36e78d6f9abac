"""Penalties: on an encoder, exactly `(encoder, x, codes) -> scalar`; on a critic, `(critic, real, fake) -> scalar`.

One that draws noise also has `seeded(encoder, x, codes, seeds)` for evaluation, whose noise is a function of the seeds (B,).

A critic's penalty gets the critic as a function of images alone, whatever else the network takes. Its `scale` s makes the
gradient that of the critic as a function of s x, d critic / d (s x) = (d critic / d x) / s: papers that have images in
[-1, 1], twice as wide as [0, 1], mean s = 2, without which R1 is 4 times theirs.
"""

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise, replicas
from tfgen.distributions.divergences import bernoulli_kl
from tfgen.errors import UserError
from tfgen.serialization import serializable


@serializable
class KLSparsity:
    """weight * sum_j KL(rho || rho_hat_j), rho_hat_j the mean activation of code j in the batch (Ng, 2011, CS294A).

    Args:
        rho: target mean activation, in (0, 1). Codes must lie in [0, 1] (a sigmoid).
        weight: factor, >= 0.
    """

    def __init__(self, rho=0.05, weight=3.0):
        if not 0 < rho < 1:
            raise UserError(f"KLSparsity(rho) expects a number in (0, 1), received {rho}")
        self.rho = rho
        self.weight = weight

    def __call__(self, encoder, x, codes):
        return self.weight * ops.sum(bernoulli_kl(self.rho, replicas.mean(ops.mean(codes, axis=0))))


@serializable
class L1Sparsity:
    """weight * mean over the batch of sum_j |code_j|.

    Args:
        weight: factor, >= 0.
    """

    def __init__(self, weight=0.1):
        self.weight = weight

    def __call__(self, encoder, x, codes):
        return self.weight * ops.mean(ops.sum(ops.abs(codes), axis=-1))


@serializable
class Contractive:
    """weight * mean over the batch of ||d codes / d x||_F^2 (Rifai et al., 2011).

    Where the encoder is one sigmoid layer the closed form is used:
    sum_j (h_j (1 - h_j))^2 sum_i W_ij^2. Otherwise Hutchinson's estimate, E_v ||J^T v||^2 with v of
    independent signs: one more backward pass a probe, unbiased.

    Args:
        weight: factor, >= 0.
        probes: signs drawn per image and step for a deep encoder, >= 1; None: the exact norm, one backward pass
            a code dimension.
        seed: of the probes; None takes Keras' global seed.
    """

    def __init__(self, weight=0.1, probes=1, seed=None):
        if probes is not None and probes < 1:
            raise UserError(f"Contractive(probes) expects at least 1, or None for exact, received {probes}")
        self.weight = weight
        self.probes = probes
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def __call__(self, encoder, x, codes):
        dense = sigmoid_layer(encoder)
        if dense is not None:
            norm = sigmoid_jacobian_norm(codes, dense.kernel)
        elif self.probes is None:
            norm = jacobian_norm(encoder, x)
        else:
            uniforms = [replicas.uniform(ops.shape(codes), self.seed_generator) for _ in range(self.probes)]
            norm = hutchinson_jacobian_norm(encoder, x, uniforms)
        return self.weight * ops.mean(norm)

    def seeded(self, encoder, x, codes, seeds):
        if self.probes is None or sigmoid_layer(encoder) is not None:
            return self(encoder, x, codes)
        uniforms = noise.uniform(seeds, (self.probes, codes.shape[-1]), noise.PROBES)
        return self.weight * ops.mean(hutchinson_jacobian_norm(encoder, x, ops.unstack(uniforms, axis=1), training=False))


def sigmoid_layer(encoder):
    """The Dense layer of an encoder that is one sigmoid layer after reshapes, else None."""
    inner = [layer for layer in encoder.layers
             if not isinstance(layer, (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape))]
    single = len(inner) == 1 and isinstance(inner[0], keras.layers.Dense)
    return inner[0] if single and inner[0].activation is keras.activations.sigmoid else None


def sigmoid_jacobian_norm(codes, kernel):
    """||J||_F^2 of h = sigmoid(x W + b): (B, d), (n, d) -> (B,)."""
    slope = ops.square(codes * (1.0 - codes))
    return ops.matmul(slope, ops.sum(ops.square(kernel), axis=0))


def _flat_squared_norm(x):
    return ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape))))


def jacobian_norm(encoder, x):
    """Exact ||J||_F^2 of any encoder: (B,)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        codes = encoder(x, training=True)
    return _flat_squared_norm(tape.batch_jacobian(codes, x))


def hutchinson_jacobian_norm(encoder, x, uniforms, training=True):
    """Unbiased estimate of ||J||_F^2, (B,), from random signs: of uniform numbers in [0, 1) less 0.5, (B, d) each."""
    total = 0.0
    for uniform in uniforms:
        with tf.GradientTape() as tape:
            tape.watch(x)
            projected = ops.sum(encoder(x, training=training) * ops.sign(uniform - 0.5))
        total += _flat_squared_norm(tape.gradient(projected, x))
    return total / len(uniforms)


def input_gradient(critic, x):
    """d sum(critic(x)) / dx: each row's own gradient, as x's shape."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(critic(x))
    return tape.gradient(total, x)


class CriticPenalty:
    """A penalty on a critic's gradient.

    Args:
        weight: factor, >= 0.
        scale: s > 0, see above.

    Raises:
        UserError: for values out of range.
    """

    def __init__(self, weight, scale):
        name = type(self).__name__
        if weight < 0:
            raise UserError(f"{name}(weight) expects a number >= 0, received {weight}")
        if scale <= 0:
            raise UserError(f"{name}(scale) expects a number > 0, received {scale}")
        self.weight = weight
        self.scale = scale

    def squared_norms(self, critic, x):
        """||d critic(x_i) / d (s x_i)||_2^2 of each row: (B,)."""
        return _flat_squared_norm(input_gradient(critic, x)) / self.scale**2


class Interpolating(CriticPenalty):
    """Draws x_i = e_i real_i + (1 - e_i) fake_i, e_i uniform in [0, 1], one per row (Gulrajani et al., 2017)."""

    def __init__(self, weight, seed, scale):
        super().__init__(weight, scale)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def between(self, real, fake):
        shape = (ops.shape(real)[0], *[1] * (len(real.shape) - 1))
        share = replicas.uniform(shape, self.seed_generator)
        return share * real + (1.0 - share) * fake


@serializable
class GradientPenalty(Interpolating):
    """weight * E (||d critic / d (s x)|| - target)^2 at points between real and made images (Gulrajani et al., 2017).

    Args:
        weight: factor, >= 0.
        target: the norm aimed at.
        seed: of the points; None takes Keras' global seed.
        scale: s, > 0.
    """

    def __init__(self, weight=10.0, target=1.0, seed=None, scale=1.0):
        super().__init__(weight, seed, scale)
        self.target = target

    def __call__(self, critic, real, fake):
        # The derivative of the root at zero is infinite: a dead critic must not make NaN.
        norms = ops.sqrt(self.squared_norms(critic, self.between(real, fake)) + 1e-12)
        return self.weight * ops.mean(ops.square(norms - self.target))


@serializable
class MaxGradientPenalty(Interpolating):
    """weight * max ||d critic / d (s x)||^2 over points between real and made images (Zhou et al., 2019).

    The largest gradient of a batch stands for the Lipschitz constant.

    Args:
        weight: factor, >= 0.
        seed: of the points; None takes Keras' global seed.
        scale: s, > 0.
    """

    def __init__(self, weight=0.1, seed=None, scale=1.0):
        super().__init__(weight, seed, scale)

    def __call__(self, critic, real, fake):
        return self.weight * ops.max(replicas.gathered(self.squared_norms(critic, self.between(real, fake))))


@serializable
class R1(CriticPenalty):
    """weight / 2 * E ||d critic / d (s x)||^2 at real images (Mescheder et al., 2018).

    Args:
        weight: gamma, >= 0.
        scale: s, > 0.
    """

    def __init__(self, weight=10.0, scale=1.0):
        super().__init__(weight, scale)

    def __call__(self, critic, real, fake):
        return 0.5 * self.weight * ops.mean(self.squared_norms(critic, real))

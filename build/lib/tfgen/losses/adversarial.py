"""Objectives of the two players, functions of the critic's scores: `.critic(real, fake)` and `.generator(fake)`.

Scores are logits, (B,), or (B, …) for a critic with one score per patch; both functions return the scalar that a player
minimises.
`reading` summarises scores for the training curves (as a probability if they are logits), and `equilibrium` is the value
of the reading at which the critic cannot discriminate (None: no such value). `boundary` is the score of an image that may as
well be real as generated (None: scores have no such value, only differences of them mean something).
"""

from keras import ops

from tfgen import replicas
from tfgen.errors import UserError
from tfgen.serialization import serializable


def cross_entropy(logits, target):
    """Mean binary cross-entropy of logits against one constant target in [0, 1]."""
    return ops.mean(ops.softplus(logits) - target * logits)


class Objective:
    """Base class of objectives: the reading of scores that training reports."""

    equilibrium = None
    boundary = None

    def reading(self, scores):
        """The mean score, for the training curves."""
        return ops.mean(scores)


class Probability(Objective):
    """An objective whose scores are logits of "real"."""

    equilibrium = 0.5
    boundary = 0.0

    def __init__(self, label_smoothing=0.0):
        if not 0 <= label_smoothing < 0.5:
            raise UserError(f"{type(self).__name__}(label_smoothing) expects a number in [0, 0.5), "
                             f"received {label_smoothing}")
        self.label_smoothing = label_smoothing

    def reading(self, scores):
        """The mean probability of "real"."""
        return ops.mean(ops.sigmoid(scores))

    def critic(self, real, fake):
        return cross_entropy(real, 1.0 - self.label_smoothing) + cross_entropy(fake, 0.0)


@serializable
class Minimax(Probability):
    """min_G max_D E log D(x) + E log(1 - D(G(z))) (Goodfellow et al., 2014, equation 1).

    The saturating form: the generator's gradient vanishes when the critic is confident.

    Args:
        label_smoothing: the critic's target for real images is 1 - label_smoothing, one-sided (Salimans et al., 2016).
    """

    def __init__(self, label_smoothing=0.0):
        super().__init__(label_smoothing)

    def generator(self, fake):
        return -cross_entropy(fake, 0.0)


@serializable
class NonSaturating(Probability):
    """As `Minimax`, but the generator minimises -E log D(G(z)) (Goodfellow et al., 2014, section 3).

    Args:
        label_smoothing: as for `Minimax`.
    """

    def __init__(self, label_smoothing=0.0):
        super().__init__(label_smoothing)

    def generator(self, fake):
        return cross_entropy(fake, 1.0)


@serializable
class LeastSquares(Objective):
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2; generator 1/2 E (D(G(z)) - 1)^2 (Mao et al., 2017, equation 9)."""

    equilibrium = boundary = 0.5

    def __init__(self):
        pass

    def critic(self, real, fake):
        return 0.5 * (ops.mean(ops.square(real - 1.0)) + ops.mean(ops.square(fake)))

    def generator(self, fake):
        return 0.5 * ops.mean(ops.square(fake - 1.0))


@serializable
class Wasserstein(Objective):
    """Critic E D(G(z)) - E D(x), generator -E D(G(z)) (Arjovsky et al., 2017).

    Minus the critic's loss estimates the Wasserstein distance if the critic is 1-Lipschitz.

    Args:
        drift: weight of E D(x)^2, which keeps scores near zero (0.001 in Karras et al., 2018).
    """

    def __init__(self, drift=0.0):
        self.drift = drift

    def critic(self, real, fake):
        loss = ops.mean(fake) - ops.mean(real)
        return loss + self.drift * ops.mean(ops.square(real)) if self.drift else loss

    def generator(self, fake):
        return -ops.mean(fake)


@serializable
class Hinge(Objective):
    """Critic E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), generator -E D(G(z)) (Lim & Ye, 2017)."""

    equilibrium = boundary = 0.0

    def __init__(self):
        pass

    def critic(self, real, fake):
        return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))

    def generator(self, fake):
        return -ops.mean(fake)


@serializable
class Lipschitz(Objective):
    """Critic E phi(D(G(z))) + E phi(-D(x)), generator -E D(G(z)), phi = softplus (Zhou et al., 2019, arXiv:1902.05687).

    phi is increasing and strictly convex, so that the optimal critic under a Lipschitz penalty is unique.
    """

    equilibrium = boundary = 0.0

    def __init__(self):
        pass

    def critic(self, real, fake):
        return ops.mean(ops.softplus(fake)) + ops.mean(ops.softplus(-real))

    def generator(self, fake):
        return -ops.mean(fake)


@serializable
class Energy(Objective):
    """Scores are energies: critic E D(x) - E D(G(z)), generator E D(G(z)); `BEGAN` weights the second term."""

    def __init__(self):
        pass

    def critic(self, real, fake):
        return ops.mean(real) - ops.mean(fake)

    def generator(self, fake):
        return ops.mean(fake)


@serializable
class EnergyMargin(Objective):
    """Scores are energies: critic E D(x) + E max(0, margin - D(G(z))), generator E D(G(z)) (Zhao et al., 2017).

    Args:
        margin: energy up to which generated images contribute to the critic's loss, > 0.
    """

    def __init__(self, margin=1.0):
        if margin <= 0:
            raise UserError(f"EnergyMargin(margin) expects a positive number, received {margin}")
        self.margin = margin

    def critic(self, real, fake):
        return ops.mean(real) + ops.mean(ops.relu(self.margin - fake))

    def generator(self, fake):
        return ops.mean(fake)


def pull_away(codes):
    """Mean squared cosine between different rows of codes (B, d) (Zhao et al., 2017, section 2.4).

    PT = 1 / (B (B - 1)) sum_{i != j} (s_i . s_j / (|s_i| |s_j|))^2; for the mean of squares of unit rows this is
    (sum_ij cos^2 - B) / (B (B - 1)).
    """
    codes = replicas.gathered(codes)
    units = codes / ops.sqrt(ops.maximum(ops.sum(ops.square(codes), axis=1, keepdims=True), 1e-12))
    rows = ops.cast(ops.shape(codes)[0], "float32")
    return (ops.sum(ops.square(ops.matmul(units, ops.transpose(units)))) - rows) / (rows * ops.maximum(rows - 1.0, 1.0))

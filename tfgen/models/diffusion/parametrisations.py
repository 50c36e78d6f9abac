"""What the network of a diffusion model predicts."""

from keras import ops

from tfgen.serialization import serializable


class Parametrisation:
    """denoise(x, sigma) = skip x + out network(scale x), with three numbers per level.

    In training, the network's output is compared with (x_0 - skip x) / out, each level with the same weight.
    """

    def __init__(self):
        """No arguments."""

    def coefficients(self, sigma):
        """(skip, out, scale) of levels, tensors of their shape."""
        raise NotImplementedError(f"{type(self).__name__} must define coefficients(sigma)")


def shrinking(sigma):
    """sqrt(a) of the process sqrt(a) x_0 + sqrt(1 - a) noise at level sigma: 1 / sqrt(1 + sigma^2)."""
    return 1.0 / ops.sqrt(1.0 + ops.square(sigma))


@serializable
class Epsilon(Parametrisation):
    """The noise, given the image of the shrinking process (Ho et al., 2020)."""

    def coefficients(self, sigma):
        return ops.ones_like(sigma), -sigma, shrinking(sigma)


@serializable
class Clean(Parametrisation):
    """The clean image x_0, given the image of the shrinking process."""

    def coefficients(self, sigma):
        return ops.zeros_like(sigma), ops.ones_like(sigma), shrinking(sigma)


@serializable
class Velocity(Parametrisation):
    """v = sqrt(a) noise - sqrt(1 - a) x_0, given the image of the shrinking process (Salimans & Ho, 2022)."""

    def coefficients(self, sigma):
        scale = shrinking(sigma)
        return ops.square(scale), -sigma * scale, scale


@serializable
class Straight(Parametrisation):
    """The direction noise - x_0 of a straight path, given (1 - t) x_0 + t noise, t = sigma / (1 + sigma)."""

    def coefficients(self, sigma):
        scale = 1.0 / (1.0 + sigma)
        return scale, -sigma * scale, scale


@serializable
class Preconditioned(Parametrisation):
    """Inputs and targets of variance 1 at each level (Karras et al., 2022, table 1).

    Args:
        data_deviation: root mean square of the clean images' values in [-1, 1], whose mean is taken for 0.
    """

    def __init__(self, data_deviation=0.5):
        self.data_deviation = data_deviation

    def coefficients(self, sigma):
        total = ops.square(sigma) + self.data_deviation**2
        return self.data_deviation**2 / total, sigma * self.data_deviation / ops.sqrt(total), 1.0 / ops.sqrt(total)

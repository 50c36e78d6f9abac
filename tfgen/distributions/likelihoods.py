"""Likelihoods p(x | parameters): the decoder's output gives the parameters."""

import math

from keras import ops

from tfgen.distributions.divergences import gaussian_log_prob
from tfgen.distributions.scales import check_scaling
from tfgen.errors import UserError
from tfgen.serialization import serializable


def sum_pixels(values):
    """(B, H, W, C) -> (B,)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


def per_image(values):
    """(B,) -> (B, 1, 1, 1), which broadcasts with images."""
    return ops.reshape(values, (-1, 1, 1, 1))


def logit(u):
    """log(u / (1 - u)): a standard logistic variate from a uniform one in (0, 1)."""
    return ops.log(u) - ops.log1p(-u)


# Of log scales.
LOWEST = -6.0
# -log2 of the distance of two of 256 levels: a density has so many bits per value more than their probability.
BITS_OF_LEVELS = math.log2(255)


class Likelihood:
    """A distribution over images in [0, 1], independent per value given its parameters, the decoder's output.

    That of vectors or windows of real numbers is a `Standardised` one, whose rows are (B, D) or (B, times, channels).

    Attributes:
        parameters_per_value: parameters per value; the decoder's output has C * parameters_per_value channels for C
            channels.
        bits_offset: offset of bits/dim for 8-bit images: `BITS_OF_LEVELS` for a density on [0, 1], 0 for a probability.
        normalised: whether it sums or integrates to 1 over grey levels (a Bernoulli does so over binary images only). If
            not, its `log_prob` of grey-level images is not a log-likelihood, and their bits/dim are undefined.
        joint: whether the channels of a pixel have a joint distribution given the parameters; else each channel is
            independent of the others given its own parameters.
    """

    parameters_per_value = 1
    bits_offset = 0.0
    normalised = True
    joint = False

    def parameters(self, channels):
        """Number of channels of the decoder's output for images with `channels`."""
        return channels * self.parameters_per_value

    def uniforms(self, channels):
        """Number of uniform variates per pixel that `draw` takes."""
        return channels

    def difference(self, x, y):
        """x - y in the units in which squared errors are reported."""
        return x - y

    def log_prob(self, parameters, x):
        """log p(x | parameters) in nats summed over pixels and channels: (B, H, W, C k), (B, H, W, C) -> (B,)."""
        raise NotImplementedError(f"{type(self).__name__} must define log_prob(parameters, x)")

    def mean(self, parameters):
        """Mean image in [0, 1]: (B, H, W, C k) -> (B, H, W, C)."""
        raise NotImplementedError(f"{type(self).__name__} must define mean(parameters)")

    def draw(self, parameters, uniforms, temperature):
        """A sample x from p(x | parameters), a function of the uniform noise.

        Args:
            parameters: (B, H, W, `parameters(C)`).
            uniforms: (B, H, W, `uniforms(C)`) in (0, 1).
            temperature: (B,), >= 0: logits are divided and scales multiplied by it; 1 samples p, 0 gives its
                mode, or of a mixture the mean of the likeliest component.

        Returns:
            float32 (B, H, W, C) in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} must define draw(parameters, uniforms, temperature)")


@serializable
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels; the decoder gives logits l. log p = x l - softplus(l).

    A probability for binary images; for grey levels in between it is minus the cross-entropy, the usual loss
    though not a probability (Loaiza-Ganem & Cunningham, 2019).
    """

    normalised = False

    def __init__(self):
        pass

    def log_prob(self, parameters, x):
        return sum_pixels(x * parameters - ops.softplus(parameters))

    def mean(self, parameters):
        return ops.sigmoid(parameters)

    def draw(self, parameters, uniforms, temperature):
        # u < sigmoid(l / T), without the division.
        return ops.cast(per_image(temperature) * logit(uniforms) < parameters, "float32")


@serializable
class Gaussian(Likelihood):
    """Independent Gaussian pixels.

    Args:
        sigma: standard deviation in units of the [0, 1] range, > 0; None: the decoder gives it per value (its
            second half of channels is log sigma, softly bounded below by -6).
        bounded: whether means are clipped to [0, 1], the range of images.
    """

    bits_offset = BITS_OF_LEVELS

    def __init__(self, sigma=0.1, bounded=True):
        if sigma is not None and not sigma > 0:
            raise UserError(f"Gaussian(sigma) expects a number > 0 or None, received {sigma}")
        self.sigma = sigma
        self.bounded = bounded
        self.parameters_per_value = 2 if sigma is None else 1

    @property
    def narrowest(self):
        """The smallest standard deviation that it can have."""
        return math.exp(LOWEST) if self.sigma is None else self.sigma

    def log_prob(self, parameters, x):
        if self.sigma is not None:
            return sum_pixels(gaussian_log_prob(x, parameters, 2.0 * math.log(self.sigma)))
        mean, log_sigma = ops.split(parameters, 2, axis=-1)
        return sum_pixels(gaussian_log_prob(x, mean, 2.0 * _bounded_log_scale(log_sigma)))

    def mean(self, parameters):
        mean = parameters if self.sigma is not None else ops.split(parameters, 2, axis=-1)[0]
        return ops.clip(mean, 0.0, 1.0) if self.bounded else mean


@serializable
class Standardised(Likelihood):
    """A likelihood of real numbers x by one of standardised values u = (x - location) / scale.

    log p(x) = log p(u) - sum log scale, by the change of variables, in nats of the density in the units of x.

    Args:
        likelihood: that of u, over real numbers, such as `Gaussian(bounded=False)`.
        location, scale: one number per value of the last axis of x, scale > 0: those of a `tfgen.data.DataSpec`.

    Raises:
        UserError: for another number of locations than scales, or a scale that is not positive.
    """

    def __init__(self, likelihood, location, scale):
        check_scaling("Standardised", location, scale)
        self.likelihood = likelihood
        self.location = tuple(location)
        self.scale = tuple(scale)
        self.parameters_per_value = likelihood.parameters_per_value

    def difference(self, x, y):
        return (ops.cast(x, "float32") - ops.cast(y, "float32")) / ops.convert_to_tensor(self.scale, "float32")

    def log_prob(self, parameters, x):
        volume = math.prod(x.shape[1:-1]) * sum(map(math.log, self.scale))
        u = self.difference(x, ops.convert_to_tensor(self.location, "float32"))
        return self.likelihood.log_prob(ops.cast(parameters, "float32"), u) - volume

    def mean(self, parameters):
        return (ops.convert_to_tensor(self.location, "float32")
                + ops.convert_to_tensor(self.scale, "float32") * self.likelihood.mean(ops.cast(parameters, "float32")))


@serializable
class DiscretisedLogistic(Likelihood):
    """A logistic integrated over each of n grey levels k / (n - 1) (Kingma et al., 2016; Salimans et al., 2017).

    log p(x) = log(F(x + h) - F(x - h)), F(t) = sigmoid((t - mean) / scale), h half a level, with the tails in
    the first and the last level. The decoder gives mean and log scale (second half of its channels), softly bounded below
    by -6: of 256 levels, the likeliest in between then has a probability of at most 0.38, 1.4 bits. Salimans et al. cut at
    -7 on [-1, 1], which is -7.7 on [0, 1] and allows 0.97.

    Args:
        bits: bits per value, 1 to 16, for n = 2^bits levels.
        levels: n, 2 to 65,536, in place of `bits`; None: 2^bits.
    """

    parameters_per_value = 2

    def __init__(self, bits=8, levels=None):
        if bits not in range(1, 17):
            raise UserError(f"DiscretisedLogistic(bits) expects 1 to 16, received {bits}")
        if levels is not None and levels not in range(2, 2**16 + 1):
            raise UserError(f"DiscretisedLogistic(levels) expects None or 2 to 65,536, received {levels}")
        self.bits = bits
        self.levels = levels

    @property
    def top(self):
        """The highest level, n - 1."""
        return (self.levels or 2**self.bits) - 1

    def log_prob(self, parameters, x):
        mean, log_scale = ops.split(parameters, 2, axis=-1)
        log_scale = _bounded_log_scale(log_scale)
        half = 0.5 / self.top
        level = ops.round(x * self.top) / self.top
        return sum_pixels(log_mass(level - mean, half, log_scale, level < half, level > 1.0 - half))

    def mean(self, parameters):
        return ops.clip(ops.split(parameters, 2, axis=-1)[0], 0.0, 1.0)

    def draw(self, parameters, uniforms, temperature):
        mean, log_scale = ops.split(parameters, 2, axis=-1)
        x = mean + per_image(temperature) * ops.exp(_bounded_log_scale(log_scale)) * logit(uniforms)
        return ops.round(ops.clip(x, 0.0, 1.0) * self.top) / self.top


def log_mass(centred, half, log_scale, first, last):
    """log of a logistic's mass between centred - half and centred + half; the tails belong to the first and last level.

    Args:
        centred: distance of the level from the mean.
        half: half a level, > 0.
        log_scale: at least -20, without an upper bound.
        first, last: bool, where the level is the first and the last.
    """
    inverse = ops.exp(-log_scale)
    below, above = -ops.softplus(-(centred + half) * inverse), -ops.softplus((centred - half) * inverse)
    # log(F(u) - F(l)) = log F(u) + log(1 - F(l)) + log(1 - exp(-(u - l))), exact and stable in both tails. With w = u - l,
    # the last term is log w + log((1 - exp(-w)) / w), whose ratio is 1 - w/2 + w^2/6 where w may underflow.
    log_width = math.log(2.0 * half) - log_scale
    width = ops.exp(log_width)
    wide = ops.maximum(width, 1e-3)
    # 1 - exp(-w) = 2 tanh(w/2) / (1 + tanh(w/2)): as exact as expm1, which ONNX does not have.
    half_tanh = ops.tanh(wide / 2.0)
    ratio = ops.where(width < 1e-3, 1.0 - width / 2.0 + width**2 / 6.0, 2.0 * half_tanh / ((1.0 + half_tanh) * wide))
    inside = below + above + log_width + ops.log(ratio)
    return ops.where(first, below, ops.where(last, above, inside))


def _bounded_log_scale(raw, lowest=LOWEST):
    """Softly bounds a log scale below by `lowest`, because a scale near 0 on constant pixels has unbounded density."""
    return lowest + ops.softplus(raw - lowest)

"""Likelihoods of images on n grey levels k / (n - 1), with more freedom than one logistic per value."""

import keras
from keras import ops

from tfgen import frozen
from tfgen.distributions.likelihoods import Likelihood, log_mass, logit, per_image, sum_pixels
from tfgen.errors import require
from tfgen.serialization import serializable

# Standard deviation of a softmax' logits never enters: at temperatures below this the largest probability is 1.
_COLDEST = 1e-6


def choose(logits, uniform, temperature):
    """Index from softmax(logits / temperature) over axis -1 by inversion of its distribution function.

    Args:
        logits: (B, H, W, …, n).
        uniform: (B, H, W, …) in (0, 1).
        temperature: (B,), >= 0.

    Returns:
        int32 (B, H, W, …) in 0 ... n - 1.
    """
    cold = ops.reshape(ops.maximum(temperature, _COLDEST), (-1, *[1] * (len(logits.shape) - 1)))
    weights = ops.exp((logits - ops.max(logits, axis=-1, keepdims=True)) / cold)
    below = ops.cumsum(weights, axis=-1)
    # The last level takes the rest, whatever the sum is rounded to.
    passed = below[..., :-1] <= uniform[..., None] * below[..., -1:]
    return ops.sum(ops.cast(passed, "int32"), axis=-1)


def log_probability(logits, index):
    """log softmax(logits)[index]: (..., n) and int (...) -> (...), float32.

    In a graph of frozen weights by a sum over the one-hot index, because edge runtimes lack TensorFlow's own operation.
    """
    if not frozen.active():
        return -keras.losses.sparse_categorical_crossentropy(index, logits, from_logits=True)
    there = ops.cast(index, "int32")[..., None] == ops.arange(logits.shape[-1], dtype="int32")
    return ops.sum(ops.where(there, ops.log_softmax(logits, axis=-1), 0.0), axis=-1)


@serializable
class Categorical(Likelihood):
    """A softmax over n grey levels per value (van den Oord et al., 2016, PixelRNN): log p = l_x - logsumexp_k l_k.

    The network gives n logits per value, (B, H, W, n C): channel k C + c is the logit of level k of colour c.

    Args:
        levels: n, 2 to 65,536: 256 grey levels of 8 bits, or as many codes.
    """

    def __init__(self, levels=256):
        require(levels in range(2, 65537), f"Categorical(levels) expects 2 to 65,536, received {levels}")
        self.levels = levels
        self.parameters_per_value = levels

    def logits(self, parameters):
        """(B, H, W, n C) -> (B, H, W, C, n)."""
        channels = parameters.shape[-1] // self.levels
        if channels == 1:
            # Reshaped: of an expanded convolution OpenVINO normalises another axis.
            return ops.reshape(parameters, (-1, *parameters.shape[1:-1], 1, self.levels))
        split = ops.reshape(parameters, (-1, *parameters.shape[1:-1], self.levels, channels))
        return ops.swapaxes(split, -1, -2)

    def log_prob(self, parameters, x):
        level = ops.cast(ops.round(x * (self.levels - 1)), "int32")
        return sum_pixels(log_probability(self.logits(parameters), level))

    def mean(self, parameters):
        grey = ops.arange(self.levels, dtype="float32") / (self.levels - 1)
        return ops.sum(ops.softmax(self.logits(parameters), axis=-1) * grey, axis=-1)

    def draw(self, parameters, uniforms, temperature):
        return ops.cast(choose(self.logits(parameters), uniforms, temperature), "float32") / (self.levels - 1)


@serializable
class MixtureOfLogistics(Likelihood):
    """A mixture of logistics, integrated over each grey level, joint over the channels of a pixel (Salimans et al., 2017).

    With x in [-1, 1] (the images' 2 x - 1), F(t) = sigmoid(t) and h half a level:
    p(x) = sum_i w_i prod_c [F((x_c + h - m_ic) / s_ic) - F((x_c - h - m_ic) / s_ic)], the tails in the first and the last
    level, and means that depend linearly on the earlier channels: m_ic = mean_ic + sum_{j < c} tanh(a_icj) x_j.

    `draw` chooses a component from softmax(logits / temperature) and multiplies its scales by the temperature: at 0, the
    means of the likeliest component, which need not be the mode of the mixture.

    The network gives (B, H, W, K (1 + 2 C + C (C - 1) / 2)): K logits of w, then K means for each channel, K log scales
    (at least -7) for each channel, and K coefficients for each pair of channels (1 0), (2 0), (2 1) …

    Args:
        components: K, >= 1.
        levels: n, 2 to 256.
    """

    joint = True
    parameters_per_value = None

    def __init__(self, components=10, levels=256):
        require(components >= 1, f"MixtureOfLogistics(components) expects at least 1, received {components}")
        require(levels in range(2, 257), f"MixtureOfLogistics(levels) expects 2 to 256, received {levels}")
        self.components = components
        self.levels = levels

    def parameters(self, channels):
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def uniforms(self, channels):
        return 1 + channels

    def _channels(self, size):
        """Number of channels C of the images, from the number of parameters."""
        (found,) = (channels for channels in range(1, 5) if self.parameters(channels) == size)
        return found

    def unpacked(self, parameters):
        """(logits (B, H, W, K), C means and C log scales of that shape, coefficients {(c, j): of that shape})."""
        channels, k = self._channels(parameters.shape[-1]), self.components
        parts = ops.split(parameters, parameters.shape[-1] // k, axis=-1)
        means, log_scales = parts[1:1 + channels], parts[1 + channels:1 + 2 * channels]
        pairs = [(c, j) for c in range(channels) for j in range(c)]
        coefficients = {pair: ops.tanh(part) for pair, part in zip(pairs, parts[1 + 2 * channels:], strict=True)}
        return parts[0], means, [ops.maximum(scale, -7.0) for scale in log_scales], coefficients

    @staticmethod
    def conditional_mean(means, coefficients, c, earlier):
        """Mean of channel c given the earlier channels, a list of (B, H, W, 1 or K) in [-1, 1]: (B, H, W, K)."""
        return means[c] + sum(coefficients[c, j] * earlier[j] for j in range(c))

    def log_prob(self, parameters, x):
        logits, means, log_scales, coefficients = self.unpacked(parameters)
        top = self.levels - 1
        x = 2.0 * ops.round(x * top) / top - 1.0
        earlier, half, total = ops.split(x, x.shape[-1], axis=-1), 1.0 / top, ops.log_softmax(logits, axis=-1)
        for c, value in enumerate(earlier):
            centred = value - self.conditional_mean(means, coefficients, c, earlier)
            total += log_mass(centred, half, log_scales[c], value < half - 1.0, value > 1.0 - half)
        return sum_pixels(ops.logsumexp(total, axis=-1))

    def mean(self, parameters):
        logits, means, _, coefficients = self.unpacked(parameters)
        weights, found = ops.softmax(logits, axis=-1), []
        # A channel's mean depends on those of the channels before it in the same component.
        for c in range(len(means)):
            found.append(ops.clip(self.conditional_mean(means, coefficients, c, found), -1.0, 1.0))
        return 0.5 * ops.concatenate([ops.sum(weights * mean, axis=-1, keepdims=True) for mean in found], -1) + 0.5

    def draw(self, parameters, uniforms, temperature):
        logits, means, log_scales, coefficients = self.unpacked(parameters)
        chosen = ops.one_hot(choose(logits, uniforms[..., 0], temperature), self.components)
        top, found = self.levels - 1, []
        for c in range(len(means)):
            mean = ops.sum(chosen * self.conditional_mean(means, coefficients, c, found), axis=-1, keepdims=True)
            scale = ops.exp(ops.sum(chosen * log_scales[c], axis=-1, keepdims=True))
            value = mean + per_image(temperature) * scale * logit(uniforms[..., 1 + c:2 + c])
            # Later channels depend on the level, as in training.
            found.append(2.0 * ops.round(ops.clip(0.5 * value + 0.5, 0.0, 1.0) * top) / top - 1.0)
        return ops.round((0.5 * ops.concatenate(found, -1) + 0.5) * top) / top

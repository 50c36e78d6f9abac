"""Autoregressive models with several masks over the same weights."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.autoregressive.autoregressive import Autoregressive
from tfgen.serialization import serializable


@serializable
class MaskEnsemble(Autoregressive):
    """A mixture of the K conditional models of one network with K masks: p(x) = (1 / K) sum_k p_k(x) (Germain et al., 2015).

    Training minimises the mean of -log p_k(x) over all masks, the expectation of the paper's loss, which takes the next mask
    for each batch. `log_prob`, and so validation, is of the mixture. A sample draws its mask from its seed.

    Args:
        network: Functional model, images (B, H, W, C) -> K parameter maps of `likelihood`, each causal.
        likelihood, order: as for `Autoregressive`.

    Raises:
        UserError: if the network has one output, or does not fit the likelihood or `order`.
    """

    def __init__(self, network, likelihood=Bernoulli(), order=None, **kwargs):
        require(len(network.outputs) > 1, "MaskEnsemble expects a network with several outputs, received one: "
                                          "use Autoregressive")
        super().__init__(network, likelihood, order=order, **kwargs)

    def log_probs(self, x, training=False):
        """log p_k(x): (K, B)."""
        x = self.ordered(ops.convert_to_tensor(x))
        return ops.stack([self.likelihood.log_prob(ops.cast(parameters, "float32"), x)
                          for parameters in self.network(x, training=training)])

    def log_prob(self, x, label=None, training=False):
        each = self.log_probs(x, training)
        return ops.mean(each, 0) if training else ops.logsumexp(each, 0) - math.log(len(self.network.outputs))

    def complete(self, images, masks, seeds, label=None, temperature=1.0):
        seeds, outputs = tf.cast(seeds, tf.int64), self.network.outputs
        chosen = tf.cast(noise.uniform(seeds, (1,), noise.CODES)[:, 0] * len(outputs), tf.int32)
        made = tf.zeros_like(images)
        for number, output in enumerate(outputs):
            branch = keras.Model(self.network.inputs, output)
            drawn = self.completed(branch, images, masks, seeds, label, temperature)
            made = tf.where((chosen == number)[:, None, None, None], drawn, made)
        return made

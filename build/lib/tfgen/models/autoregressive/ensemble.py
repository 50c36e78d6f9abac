"""Autoregressive models with several masks over the same weights."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import noise
from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.autoregressive.autoregressive import Autoregressive, rearranged
from tfgen.serialization import serializable


@serializable
class MaskEnsemble(Autoregressive):
    """A mixture of the K conditional models of one network with K masks: p(x) = (1 / K) sum_k p_k(x) (Germain et al., 2015).

    Training minimises the mean of -log p_k(x) over all masks, the expectation of the paper's loss, which takes the next mask
    for each batch. `log_prob`, and so validation, is of the mixture. A sample draws its mask from its seed, uniformly; so
    does `complete`, which does not weigh masks by the probability of the given pixels.

    Args:
        network: Functional model, a list of K images (B, H, W, C) -> a list of K parameter maps of `likelihood`; map k is a
            causal function of image k. An example is `tfgen.networks.made.made` with masks=K.
        likelihood: as for `Autoregressive`.
        order: as for `Autoregressive`, shared by all masks; or a list of K such orders, one per mask (the paper's
            order-agnostic training). Image k and map k are in the order of mask k.

    Raises:
        UserError: if the network has one output, or does not fit the likelihood or `order`.
    """

    def __init__(self, network, likelihood=Bernoulli(), order=None, **kwargs):
        require(len(network.outputs) > 1, "MaskEnsemble expects a network with several outputs, received one: "
                                          "use Autoregressive")
        super().__init__(network, likelihood, order=order, **kwargs)

    @staticmethod
    def expected_inputs(network, num_classes):
        return len(network.outputs)

    def checked(self, order, pixels):
        if order is None or not isinstance(order[0], (list, tuple)):
            return super().checked(order, pixels)
        masks = len(self.network.outputs)
        require(len(order) == masks, f"order expects one permutation, or one for each of {masks} masks, received "
                                     f"{len(order)}")
        return [super(MaskEnsemble, self).checked(one, pixels) for one in order]

    @property
    def orders(self):
        """The order of each mask: K lists of ints, or None."""
        each = self.order is not None and not isinstance(self.order[0], int)
        return self.order if each else [self.order] * len(self.network.outputs)

    def log_probs(self, x, training=False):
        """log p_k(x): (K, B)."""
        images = [rearranged(ops.convert_to_tensor(x), order) for order in self.orders]
        return ops.stack([self.likelihood.log_prob(ops.cast(parameters, "float32"), image)
                          for parameters, image in zip(self.network(images, training=training), images)])

    def log_prob(self, x, label=None, training=False):
        each = self.log_probs(x, training)
        return ops.mean(each, 0) if training else ops.logsumexp(each, 0) - math.log(len(self.network.outputs))

    def complete(self, images, masks, seeds, label=None, temperature=1.0):
        seeds, network = tf.cast(seeds, tf.int64), self.network
        chosen = tf.cast(noise.uniform(seeds, (1,), noise.CODES)[:, 0] * len(network.outputs), tf.int32)
        made = tf.zeros_like(images)
        for number, (image, output, order) in enumerate(zip(network.inputs, network.outputs, self.orders)):
            drawn = self.completed(keras.Model(image, output), order, images, masks, seeds, label, temperature)
            made = tf.where((chosen == number)[:, None, None, None], drawn, made)
        return made

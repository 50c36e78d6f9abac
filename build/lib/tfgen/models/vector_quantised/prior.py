"""The distribution of a grid of codes."""

import tensorflow as tf
from keras import ops

from tfgen.distributions import Categorical
from tfgen.models.autoregressive import Autoregressive
from tfgen.serialization import serializable


@serializable
class CodePrior(Autoregressive):
    """p(codes) of one grid of K codes, perhaps given the codes of a coarser grid: an autoregressive model of K levels.

    Networks take a code k as the level k / (K - 1) and embed it.

    Args:
        network: Functional model, codes as levels (B, h, w, 1), or [those, codes of the coarser grid as levels], -> logits
            (B, h, w, K), causal, see `Autoregressive`.
    """

    def __init__(self, network, **kwargs):
        super().__init__(network, Categorical(network.outputs[0].shape[-1]), **kwargs)

    @staticmethod
    def expected_inputs(network, num_classes):
        return 2 if len(network.inputs) == 2 else 1

    @property
    def conditional(self):
        return len(self.network.inputs) == 2

    @property
    def condition_shape(self):
        """Shape of the levels of the coarser grid, (h', w', 1), or None."""
        return tuple(self.network.inputs[1].shape[1:]) if self.conditional else None

    @property
    def size(self):
        """K, the number of codes."""
        return self.likelihood.levels

    @property
    def grid(self):
        """(h, w)."""
        return self.image_shape[:2]

    def levels(self, codes):
        """Codes int (B, h, w) as levels in [0, 1]: (B, h, w, 1)."""
        return ops.expand_dims(ops.cast(codes, "float32") / (self.size - 1), -1)

    def codes(self, levels):
        """The inverse of `levels`: int32 (B, h, w)."""
        return ops.cast(ops.round(levels[..., 0] * (self.size - 1)), "int32")

    def log_prob_of(self, codes, above=None, training=False):
        """log p(codes | above) in nats: (B,). codes: int (B, h, w); above: levels of the coarser grid."""
        return self.log_prob(self.levels(codes), above, training)

    def draw(self, seeds, temperature, above=None, grid=0):
        """Codes int32 (B, h, w), functions of the seeds.

        Args:
            seeds: int64 (B,).
            temperature: number or (B,).
            above: levels of the coarser grid, or None.
            grid: number of the grid within a sample.
        """
        empty = tf.zeros((tf.shape(seeds)[0], *self.image_shape))
        return self.codes(self.completed(self.network, None, empty, empty[..., 0], seeds, above, temperature, grid))

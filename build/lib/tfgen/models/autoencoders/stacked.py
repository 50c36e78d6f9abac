"""Deep autoencoders with greedy layer-wise pre-training inside `fit`."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.autoencoders.autoencoder import Autoencoder, input_and_target
from tfgen.models.base.stages import OptimizerStages
from tfgen.serialization import serializable


@serializable
class StackedAutoencoder(OptimizerStages, Autoencoder):
    """A stack of autoencoder blocks with greedy layer-wise pre-training, bottom up (Bengio et al., 2007).

    With h_0 = x and `h_k = encoders[k](h_{k-1})`, stage k (steps k S ... (k + 1) S - 1) minimises
    `||h_k - decoders[k](encoders[k](h_k))||^2 / 2` in block k alone (stage 0: -log p), with h_k fixed. Only the variables
    of block k are passed to the optimizer, because its momentum would keep changing finished blocks. After the last stage
    the whole stack is fine-tuned on -log p(x). The stage is a function of the optimizer's step, so that a resumed run
    continues in it. Validation losses are always those of the whole stack.

    Args:
        encoders: Functional models, the first on images, each on the codes of the one before, of any shape.
        decoders: Functional models, `decoders[k]` inverts `encoders[k]`.
        pretrain_steps: S, pre-training steps per block; 0 trains the whole stack at once.
        likelihood, corruption, penalties: as for `Autoencoder`.

    Raises:
        UserError: if the numbers of blocks differ or shapes do not fit.
    """

    def __init__(self, encoders, decoders, pretrain_steps=0, likelihood=Bernoulli(), corruption=None, penalties=(),
                 **kwargs):
        require(len(encoders) == len(decoders) > 0,
                f"expected as many decoders as encoders, received {len(encoders)} and {len(decoders)}")
        super().__init__(keras.Sequential(list(encoders), name="encoder"),
                         keras.Sequential(list(decoders)[::-1], name="decoder"),
                         likelihood, corruption, penalties, **kwargs)
        self.encoders = list(encoders)
        self.decoders = list(decoders)
        self.pretrain_steps = pretrain_steps

    @property
    def stages(self):
        return len(self.encoders) + 1 if self.pretrain_steps else 1

    def stage_at(self, step):
        step = ops.cast(step, "int32")
        return ops.minimum(step // self.pretrain_steps, len(self.encoders)) if self.pretrain_steps else 0 * step

    @property
    def step_variables(self):
        if self.stage == self.stages - 1:
            return super().step_variables
        block = self.encoders[self.stage], self.decoders[self.stage]
        return [variable for network in block for variable in network.trainable_variables]

    def block_losses(self, index, x):
        """Losses of stage `index`: block `index` alone on the codes below it."""
        for encoder in self.encoders[:index]:
            x = encoder(x, training=False)
        x = tf.stop_gradient(x)
        made = self.decoders[index](self.encoders[index](x, training=True), training=True)
        if index == 0:
            losses = self.reconstruction_losses(made, x)
        else:
            squares = ops.square(made - x)
            error = ops.mean(ops.sum(squares, axis=tuple(range(1, len(x.shape)))))
            losses = {"reconstruction": 0.5 * error, "mse": ops.mean(squares)}
        return losses | {"penalty": ops.zeros(()), "loss": losses["reconstruction"]}

    def compute_losses(self, batch, training):
        if not training or self.stage == self.stages - 1:
            return super().compute_losses(batch, training)
        return self.block_losses(self.stage, input_and_target(batch)[0])

"""Deep autoencoders with greedy layer-wise pre-training inside `fit`."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.losses import Bernoulli
from tfgen.model import require
from tfgen.models.autoencoder import Autoencoder, input_and_target
from tfgen.serialization import serializable


@serializable
class StackedAutoencoder(Autoencoder):
    """An autoencoder of blocks; for the first steps each block is trained alone, bottom up (Bengio et al., 2007).

    With h_0 = x and h_k = encoders[k](h_{k-1}), stage k (steps k S ... (k + 1) S - 1) minimises
    ||h_k - decoders[k](encoders[k](h_k))||^2 / 2 in block k alone (stage 0: -log p), h_k held fixed. After the
    last stage the whole stack is fine-tuned on -log p(x). The stage follows from the optimizer's step, so a
    resumed run keeps it. Validation losses are always those of the whole stack.

    Args:
        encoders: Functional models, the first on images, each on the codes of the one before.
        decoders: Functional models, `decoders[k]` inverts `encoders[k]`.
        pretrain_steps: S, steps a block; 0 trains the whole stack at once.
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

    def block_losses(self, index, x):
        """Losses of stage `index`: block `index` alone on the codes below it."""
        for encoder in self.encoders[:index]:
            x = encoder(x, training=False)
        x = tf.stop_gradient(x)
        made = self.decoders[index](self.encoders[index](x, training=True), training=True)
        if index == 0:
            losses = self.reconstruction_losses(made, x)
        else:
            error = ops.mean(ops.square(made - x))
            losses = {"reconstruction": 0.5 * error * x.shape[-1], "mse": error}
        return losses | {"penalty": ops.zeros(()), "loss": losses["reconstruction"]}

    def compute_losses(self, batch, training):
        whole = super().compute_losses
        if not training or not self.pretrain_steps:
            return whole(batch, training)
        x, _ = input_and_target(batch)
        stages = [lambda index=index: self.block_losses(index, x) for index in range(len(self.encoders))]
        stages.append(lambda: whole(batch, training))
        stage = ops.minimum(self.optimizer.iterations // self.pretrain_steps, len(self.encoders))
        return tf.switch_case(ops.cast(stage, "int32"), stages)

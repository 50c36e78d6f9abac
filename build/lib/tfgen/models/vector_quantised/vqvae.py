"""Vector-quantised VAEs of one or several grids of codes."""

from keras import ops

from tfgen.errors import require
from tfgen.models.base.generative import GenerativeModel
from tfgen.models.vector_quantised.coded import Coded, perplexity_names
from tfgen.serialization import serializable


@serializable
class VQVAE(Coded, GenerativeModel):
    """An autoencoder of codes for `autoencoder_steps` steps, then the priors over its codes (van den Oord et al., 2017).

    Stage 0 minimises mean (x - decoder(quantised))^2 / data_variance + loss of the quantizers, see
    `tfgen.layers.VectorQuantizer`; the KL term of the paper's bound is the constant T log K under its uniform prior. Stage 1
    minimises -log p(codes) / T in bits, with T codes per image and the encoder fixed. With several grids, the codes of each
    are conditioned on those of the coarser one (VQ-VAE-2, Razavi et al., 2019).

    Args:
        encoder, decoder, priors, autoencoder_steps: see `Coded.take`. Examples of networks are in
            `tfgen.networks.vector_quantised`.
        data_variance: variance of the pixels in [0, 1] that scales the squared error, > 0.

    Reported: `squared_error` per value, `quantisation` (the loss of the quantizers), `bits_per_code` of the priors,
    `perplexity` of the codes of a batch (per grid: `perplexity_1`, ...) and `stage`. In training, losses of the other
    stage are reported as 0; in validation, `loss` is the sum of both stages' losses.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = ("squared_error", "quantisation", "bits_per_code", "stage")

    def __init__(self, encoder, decoder, priors, autoencoder_steps=1000, data_variance=0.0632, **kwargs):
        self.loss_names = (*type(self).loss_names, *perplexity_names(len(encoder.outputs) // 3))
        super().__init__(**kwargs)
        require(data_variance > 0, f"data_variance expects a number > 0, received {data_variance}")
        self.take(encoder, decoder, priors, autoencoder_steps)
        self.data_variance = data_variance
        self.built = True

    @property
    def step_variables(self):
        return (self.autoencoder_variables, self.prior_variables)[self.stage]

    def compute_losses(self, batch, training):
        x = ops.convert_to_tensor(batch[0] if isinstance(batch, (tuple, list)) else batch)
        first, second = (not training or self.stage == stage for stage in range(2))
        vectors, codes, quantisation = self.quantised(x, training and first)
        losses = {name: ops.zeros(()) for name in self.tracked_names()} | self.perplexities(codes)
        losses["stage"] = ops.cast(self.stage_at(self.step), "float32")
        if first:
            error = ops.mean(ops.square(x - self.decoded(vectors, training)))
            losses |= {"squared_error": error, "quantisation": quantisation}
            losses["loss"] += error / self.data_variance + quantisation
        if second:
            loss, found = self.prior_losses([ops.stop_gradient(grid) for grid in codes], batch, training)
            losses |= found | {"loss": losses["loss"] + loss}
        return losses

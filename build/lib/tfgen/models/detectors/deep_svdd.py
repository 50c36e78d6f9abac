"""Deep support vector data description: normal images are mapped near one point."""

from keras import ops

from tfgen import replicas
from tfgen.distributions import Bernoulli
from tfgen.errors import require
from tfgen.models.autoencoders.autoencoder import check_decoder
from tfgen.models.base.generative import GenerativeModel
from tfgen.models.base.stages import OptimizerStages
from tfgen.models.detectors.base import Detector
from tfgen.serialization import serializable


@serializable
class DeepSVDD(Detector, OptimizerStages, GenerativeModel):
    """Minimises E ||encoder(x) - c||^2 + weight decay (Ruff et al., 2018, one-class Deep SVDD, equation 4).

    For the first `pretrain_steps` steps encoder and decoder are trained as an autoencoder on -E log p(x | decoder(code)).
    The centre c is the mean code at the end of this stage (an exponential average over about its last hundred batches), with
    |c_j| at least 0.1 (a code near zero could be met by weights of zero, section 3.3); from then on it is fixed. The stage
    is a function of the optimizer's step. Validation losses are always those of the distance.

    Args:
        encoder: Functional model without biases, images (B, H, W, C) -> codes (B, d).
        decoder: Functional model, codes -> parameters of `likelihood`.
        pretrain_steps: >= 0; with 0 the centre is the mean code of the first batch.
        likelihood: likelihood of the pre-training, a `tfgen.distributions.Likelihood`.

    Verbs: `score` is ||encoder(x) - c||^2, `encode`.

    Attributes:
        centre: float32 (d,), as averaged; `fixed_centre` is c.

    Raises:
        UserError: if shapes do not fit, or a layer of the encoder has a bias.
    """

    loss_names = ("distance", "reconstruction")
    stages = 2
    margin = 0.1

    def __init__(self, encoder, decoder, pretrain_steps=0, likelihood=Bernoulli(), **kwargs):
        super().__init__(**kwargs)
        codes, wanted = tuple(encoder.outputs[0].shape[1:]), tuple(decoder.inputs[0].shape[1:])
        require(codes == wanted, f"the encoder gives codes of shape {codes}, the decoder takes {wanted}")
        check_decoder(encoder, decoder, likelihood)
        biased = [layer.name for layer in encoder.layers if getattr(layer, "use_bias", getattr(layer, "center", False))]
        require(not biased, f"the encoder of Deep SVDD must have no biases, received some in {', '.join(biased)}: its best "
                            "code would be a constant")
        self.encoder = encoder
        self.decoder = decoder
        self.pretrain_steps = pretrain_steps
        self.likelihood = likelihood
        self.centre = self.add_weight(codes, "zeros", trainable=False, name="centre", dtype="float32", aggregation="mean")
        self.built = True

    @property
    def image_shape(self):
        return tuple(self.encoder.inputs[0].shape[1:])

    @property
    def latent_shape(self):
        return tuple(self.encoder.outputs[0].shape[1:])

    def stage_at(self, step):
        return ops.cast(ops.cast(step, "int32") >= self.pretrain_steps, "int32")

    @property
    def step_variables(self):
        return self.encoder.trainable_variables if self.stage else super().step_variables

    @property
    def fixed_centre(self):
        """c: the centre, with components of magnitude at least `margin`."""
        return ops.where(self.centre < 0, ops.minimum(self.centre, -self.margin), ops.maximum(self.centre, self.margin))

    def distance(self, codes):
        """||codes - c||^2: (B, d) -> (B,)."""
        return ops.sum(ops.square(codes - self.fixed_centre), axis=-1)

    def codes(self, x, training):
        return ops.cast(self.encoder(x, training=training), "float32")

    def compute_losses(self, batch, training):
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        if not training:
            distance = ops.mean(self.distance(self.codes(x, training)))
            return {"loss": distance, "distance": distance, "reconstruction": ops.zeros(())}
        step = ops.cast(self.optimizer.iterations, "int32")
        codes = self.codes(x, training)
        self.centre.assign(self.centre + self.centre_rate(step) * (replicas.mean(ops.mean(codes, axis=0)) - self.centre))
        return self.description(codes) if self.stage else self.pretraining(x, codes)

    def centre_rate(self, step):
        """Update rate of the centre: that of a running average, 0 after pre-training."""
        moving = ops.cast(step < max(1, self.pretrain_steps), "float32")
        return moving * ops.maximum(0.01, 1.0 / (ops.cast(step, "float32") + 1.0))

    def pretraining(self, x, codes):
        parameters = ops.cast(self.decoder(codes, training=True), "float32")
        loss = -ops.mean(self.likelihood.log_prob(parameters, x))
        return {"loss": loss, "distance": ops.mean(self.distance(codes)), "reconstruction": loss}

    def description(self, codes):
        distance = ops.mean(self.distance(codes))
        return {"loss": distance, "distance": distance, "reconstruction": ops.zeros(())}

    def encode(self, x):
        return self.codes(x, training=False)

    def score(self, x):
        return self.distance(self.encode(x))

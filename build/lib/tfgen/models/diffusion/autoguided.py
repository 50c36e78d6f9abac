"""Diffusion models guided by an early version of themselves."""

import tensorflow as tf
from keras import ops

from tfgen import frozen
from tfgen.errors import require
from tfgen.models.base.averages import copy_of, move_towards
from tfgen.models.diffusion.denoiser import Diffusion, guided
from tfgen.samplers.denoising import Estimate
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable(inherit=True)
class AutoguidedDiffusion(Diffusion):
    """An unconditional `Diffusion` guided by its own state of early training (Karras et al., 2024, arXiv:2406.02507).

    With weight w and the clean images of both,

        denoise(x, sigma) = early(x, sigma) + w (model(x, sigma) - early(x, sigma)):

    where a short training errs, a long one errs less in the same direction, and the difference leads on. The network is
    called twice per level of noise, but once where all weights are 1 and by `encode` and `decode`, which follow the model
    alone. (The authors' weaker model has fewer channels, too, and so is another training.)

    Args:
        early_steps: steps of training after which the weights that samples are made with are kept as the early ones, >= 1;
            up to there guidance changes nothing. Once they are kept, further training leaves them.
        guidance: default weight, see above.
        others: as for an unconditional `Diffusion`.

    Attributes:
        kept_step: int32 variable, the step whose weights are the early ones.

    Raises:
        UserError: for early_steps < 1, for classes, or if the network does not fit.
    """

    def __init__(self, network, levels, parametrisation, early_steps, guidance=2.0, **kwargs):
        super().__init__(network=network, levels=levels, parametrisation=parametrisation, guidance=guidance, **kwargs)
        require(early_steps >= 1, f"early_steps expects at least 1 step, received {early_steps}")
        require(self.num_classes is None, f"an autoguided model expects no classes, received {self.num_classes}: leave them "
                                          "out, or use Diffusion")
        self.early_steps = early_steps
        self.early_network = copy_of(network)
        self.kept_step = self.add_weight((), "zeros", dtype="int32", trainable=False, aggregation="mean", name="kept_step")

    @property
    def weights_sampled(self):
        return f"{super().weights_sampled}, guided by those of step {int(self.kept_step.numpy()):,}"

    def train_step(self, data):
        made = super().train_step(data)

        step = ops.cast(self.optimizer.iterations, "int32")

        def keep():
            move_towards(self.early_network, self.ema_network if self.ema else self.network, 1.0)
            return step

        # A training that goes on with a new optimizer counts anew: what was kept in the first stays.
        kept = tf.convert_to_tensor(self.kept_step)
        # Assigned outside of the condition, which then may run on replicas.
        self.kept_step.assign(tf.cond((step <= self.early_steps) & (kept < self.early_steps), keep, lambda: kept))
        return made

    def verb_options(self, name):
        options = super().verb_options(name)
        if "sampler" in options:
            options["guidance"] = Option("float32", self.guidance, 0.0, 20.0, "weight of the model over its early state; "
                                         "0: the early state, 1: the model, more: beyond")
        return options

    def estimate(self, x, sigma, label=None, guidance=None):
        if guidance is None:
            return super().estimate(x, sigma)
        clean, mix = self.read(x, sigma, self.outputs(x, sigma))

        def led():
            return guided(clean, self.read(x, sigma, self.outputs(x, sigma, network=self.early_network)).clean, guidance)

        # Edge runtimes have no branches.
        led = led() if frozen.active() else tf.cond(tf.reduce_all(guidance == 1.0), lambda: clean, led)
        return Estimate(self.held(led), mix)

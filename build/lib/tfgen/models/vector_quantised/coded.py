"""Shared parts of models of codes: their stages and their verbs."""

import math

import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers import VectorQuantizer, perplexity
from tfgen.models.base.stages import OptimizerStages
from tfgen.verbs import Option


class Coded(OptimizerStages):
    """Mixin: an encoder to one or several grids of codes and its decoder, and, in the last stage, priors over the codes.

    The stage is a function of the optimizer's step, so that a loaded model continues in it. In the last stage the encoder is
    fixed. A model with other stages overrides `starts`.
    The latent of an image is its codes: int64 (B, h, w) of one grid; of several, (B, T), the grids one after another, the
    coarsest first, each in raster order.
    """

    latent_dtype = "int64"

    def take(self, encoder, decoder, priors, autoencoder_steps):
        """Checks and keeps the networks.

        Args:
            encoder: Functional model, images -> [quantised maps, codes, losses], each of as many grids as there are
                priors, the coarsest first, of `tfgen.layers.VectorQuantizer`.
            decoder: Functional model, quantised maps -> images (B, H, W, C).
            priors: one `CodePrior` per grid, each but the first given the grid before it.
            autoencoder_steps: number of steps of the autoencoder, >= 1.

        Raises:
            UserError: if they do not fit each other, naming both sides.
        """
        self.encoder = encoder
        self.decoder = decoder
        self.priors = list(priors)
        self.autoencoder_steps = autoencoder_steps
        require(autoencoder_steps >= 1, f"autoencoder_steps expects at least 1, received {autoencoder_steps}")
        number = len(encoder.outputs) // 3
        require(len(encoder.outputs) == 3 * number > 0 and all(isinstance(q, VectorQuantizer) for q in self.quantizers),
                "the encoder must give quantised maps, codes and losses of its VectorQuantizers, it gives "
                f"{len(encoder.outputs)} outputs")
        made, taken = ([tuple(x.shape[1:]) for x in xs] for xs in (encoder.outputs[:number], decoder.inputs))
        require(made == taken, f"the encoder gives quantised maps of {made}, the decoder takes {taken}")
        made = tuple(decoder.outputs[0].shape[1:])
        require(made == self.image_shape, f"the decoder gives images of {made}, the encoder takes {self.image_shape}")
        self.check_priors([(*grid, quantizer.codes) for grid, quantizer in zip(self.grids, self.quantizers)])

    @property
    def quantizers(self):
        """The quantizer of each grid."""
        return [output._keras_history.operation for output in self.encoder.outputs[:len(self.encoder.outputs) // 3]]

    def check_priors(self, wanted):
        """Raises a `UserError` unless the priors are of grids (h, w, K) as `wanted`."""
        made = [(*prior.grid, prior.size) for prior in self.priors]
        require(made == wanted, f"the encoder gives grids of codes (h, w, number of codes) {wanted}, the priors take {made}")
        given = [prior.condition_shape for prior in self.priors]
        coarser = [None, *((*grid[:2], 1) for grid in wanted[:-1])]
        require(given == coarser, f"each prior but the first must take the coarser codes, {coarser}, they take {given}")

    @property
    def image_shape(self):
        return tuple(self.encoder.inputs[0].shape[1:])

    @property
    def grids(self):
        """[(h, w)] of the grids of codes."""
        return grids_of(self.encoder)

    @property
    def latent_shape(self):
        return self.grids[0] if len(self.grids) == 1 else (self.positions,)

    @property
    def positions(self):
        """Number of codes per image, T."""
        return sum(map(math.prod, self.grids))

    @property
    def starts(self):
        """Steps at which the stages but the first start."""
        return [self.autoencoder_steps]

    @property
    def stages(self):
        return len(self.starts) + 1

    def stage_at(self, step):
        return tf.add_n([tf.cast(ops.cast(step, "int32") >= start, tf.int32) for start in self.starts])

    @property
    def autoencoder_variables(self):
        """Variables of the autoencoder."""
        return [*self.encoder.trainable_variables, *self.decoder.trainable_variables]

    @property
    def prior_variables(self):
        """Variables that the last stage trains."""
        return [v for prior in self.priors for v in prior.trainable_variables]

    def quantised(self, x, training=False):
        """(quantised maps, codes, mean loss of the quantizers) of images: two lists, the coarsest grid first, and ()."""
        outputs = self.encoder(x, training=training)
        number = len(self.quantizers)
        return outputs[:number], outputs[number:2 * number], ops.mean(sum(outputs[2 * number:]))

    def perplexities(self, codes):
        """{name: perplexity of the codes of a grid}: `perplexity`, or `perplexity_1` ... of several grids."""
        found = [perplexity(one, quantizer.codes) for one, quantizer in zip(codes, self.quantizers)]
        return dict(zip(perplexity_names(len(found)), found))

    def decoded(self, vectors, training=False):
        """Images from quantised maps, not clipped: (B, H, W, C)."""
        return ops.cast(self.decoder(vectors if len(vectors) > 1 else vectors[0], training=training), "float32")

    def log_prior(self, codes, training=False):
        """log p(codes) in nats: (B,). codes: one int tensor per grid."""
        above, total = None, 0.0
        for prior, grid in zip(self.priors, codes):
            total += prior.log_prob_of(grid, above, training)
            above = prior.levels(grid)
        return total

    def prior_losses(self, codes, batch, training):
        """(loss of the last stage, {reported name: value}) for the codes of a batch, one int tensor per grid."""
        bits = -ops.mean(self.log_prior(codes, training)) / (self.positions * math.log(2.0))
        return bits, {"bits_per_code": bits}

    def verb_options(self, name):
        if name != "sample":
            return {}
        return {"temperature": Option("float32", 1.0, 0.0, 2.0, "1: codes from the prior; 0: the likeliest codes")}

    def encode(self, x):
        """Codes of images: int64 (B, *latent_shape)."""
        codes = [ops.reshape(grid, (-1, math.prod(grid.shape[1:]))) for grid in self.quantised(x)[1]]
        return ops.cast(ops.reshape(ops.concatenate(codes, axis=1), (-1, *self.latent_shape)), "int64")

    def decode(self, z):
        """Images from codes, int (B, *latent_shape); codes out of range count as the nearest in range."""
        flat = ops.reshape(z, (-1, self.positions))
        parts = tf.split(flat, [math.prod(grid) for grid in self.grids], axis=1)
        return self.painted([ops.reshape(part, (-1, *grid)) for part, grid in zip(parts, self.grids)])

    def painted(self, codes):
        """Images in [0, 1] from codes, one int tensor per grid."""
        vectors = [quantizer.look_up(ops.clip(grid, 0, quantizer.codes - 1))
                   for quantizer, grid in zip(self.quantizers, codes)]
        return ops.clip(self.decoded(vectors), 0.0, 1.0)

    def reconstruct(self, x):
        return ops.clip(self.decoded(self.quantised(x)[0]), 0.0, 1.0)

    def sample(self, seeds, temperature=1.0):
        """Images whose codes are drawn from the priors, the coarsest grid first.

        Args:
            seeds: int64 (B,); a negative seed asks for fresh noise.
            temperature: number or (B,), by which the priors' logits are divided.
        """
        above, codes = None, []
        for index, prior in enumerate(self.priors):
            codes.append(prior.draw(seeds, temperature, above, index))
            above = prior.levels(codes[-1])
        return self.painted(codes)


def grids_of(encoder):
    """[(h, w)] of the grids of codes of an encoder, see `Coded.take`."""
    number = len(encoder.outputs) // 3
    return [tuple(codes.shape[1:]) for codes in encoder.outputs[number:2 * number]]


def perplexity_names(grids):
    """Names of the reported perplexities of a model with this number of grids."""
    return ("perplexity",) if grids == 1 else tuple(f"perplexity_{index + 1}" for index in range(grids))

"""Images from captions: a transformer over the words of a caption and the codes of its image."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import require
from tfgen.models.vector_quantised.vqvae import VQVAE
from tfgen.serialization import serializable


@serializable(inherit=True)
class DALLE(VQVAE):
    """A VQ-VAE, then one causal transformer over caption tokens w and image codes c (Ramesh et al., 2021, arXiv:2102.12092).

    The sequence is the T_w tokens of the caption, then the T codes of the image in raster order. Stage 1 minimises, in bits,

        caption_weight (-log2 p(w) / T_w) + (1 - caption_weight) (-log2 p(c | w) / T).

    Batches are (images, labels). Captions follow from these by `captions`, whose statistics stage 0 gathers. In stage 1,
    each of size, shade and class is left out of a caption with the probability `omission`, so that requests may omit it.

    The paper differs: its first stage is a discrete VAE of 8,192 codes with a relaxed categorical distribution, its
    attention is sparse, codes have embeddings of row and column, and each position of a short caption has a padding token of
    its own.

    Args:
        captions: a `tfgen.layers.Captions`.
        priors: one `CodePrior` of sequences (T_w + T, 1) of `captions.size` words, then K codes, see
            `tfgen.layers.AllowedTokens`.
        caption_weight: in [0, 1]; 1/8 in the paper.
        omission: in [0, 1).
        **arguments: as for `VQVAE`, with one grid of codes.

    Also reported: `bits_per_word` = -log2 p(w) / T_w. `bits_per_code` is that given the caption.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = (*VQVAE.loss_names, "bits_per_word")

    def __init__(self, encoder, decoder, priors, captions, caption_weight=1 / 8, omission=0.1, **kwargs):
        self.captions = captions
        super().__init__(encoder, decoder, priors, **kwargs)
        require(0 <= caption_weight <= 1, f"caption_weight expects a number in [0, 1], received {caption_weight}")
        require(0 <= omission < 1, f"omission expects a number in [0, 1), received {omission}")
        self.caption_weight = caption_weight
        self.omission = omission
        self.seed_generator = keras.random.SeedGenerator()

    def check_priors(self, wanted):
        require(len(wanted) == 1, f"DALLE expects one grid of codes, received {len(wanted)}")
        height, width, codes = wanted[0]
        super().check_priors([(self.captions.most + height * width, 1, self.captions.size + codes)])

    @property
    def prior(self):
        return self.priors[0]

    def sequence(self, words, codes):
        """Tokens of captions (B, T_w), then of codes (B, h, w): int32 (B, T_w + T, 1)."""
        flat = ops.reshape(ops.cast(codes, "int32"), (-1, self.positions)) + self.captions.size
        return ops.expand_dims(ops.concatenate([ops.cast(words, "int32"), flat], axis=1), -1)

    def log_probs(self, words, codes, training=False):
        """log p(words) and log p(codes | words) in nats: two (B,)."""
        prior, length = self.prior, self.captions.most
        levels = prior.levels(self.sequence(words, codes))
        parameters = prior.parameters(levels, training=training)
        return [prior.likelihood.log_prob(parameters[:, part], levels[:, part])
                for part in (slice(length), slice(length, None))]

    def compute_losses(self, batch, training):
        if training and self.stage == 0:
            self.captions.observe(*batch)
        return super().compute_losses(batch, training)

    def prior_losses(self, codes, batch, training):
        words = self.words_of(*batch, training)
        found = self.log_probs(words, codes[0], training)
        bits = [-ops.mean(log_prob) / (length * math.log(2.0))
                for log_prob, length in zip(found, (self.captions.most, self.positions))]
        loss = self.caption_weight * bits[0] + (1.0 - self.caption_weight) * bits[1]
        return loss, {"bits_per_word": bits[0], "bits_per_code": bits[1]}

    def words_of(self, x, label, training):
        """Caption tokens of images, in training with omissions."""
        omitted = None
        if training:
            omitted = replicas.uniform((ops.shape(x)[0], 3), self.seed_generator) < self.omission
        return self.captions.tokens(x, label, omitted)

    def verb_options(self, name):
        options = super().verb_options(name)
        return {"caption": self.captions.option()} | options if name == "sample" else options

    def sample(self, seeds, caption=None, temperature=1.0):
        """Images from captions.

        Args:
            seeds: int64 (B,); a negative seed asks for fresh noise.
            caption: string (B,), of the words of `captions`; None: no words.
            temperature: number or (B,), by which the logits of codes are divided.
        """
        seeds = tf.convert_to_tensor(seeds)
        caption = tf.fill(tf.shape(seeds), "") if caption is None else caption
        words, empty = self.captions.tokenised(caption), tf.zeros((tf.shape(seeds)[0], *self.grids[0]), tf.int32)
        given = self.prior.levels(self.sequence(words, empty))
        masks = tf.range(given.shape[1])[:, None] < self.captions.most  # (T_w + T, 1)
        masks = tf.broadcast_to(tf.cast(masks, tf.float32), tf.shape(given)[:3])
        made = self.prior.codes(self.prior.complete(given, masks, seeds, None, temperature))
        codes = made[:, self.captions.most:, 0] - self.captions.size
        return self.painted([tf.reshape(codes, (-1, *self.grids[0]))])

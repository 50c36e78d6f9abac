"""VQGAN: an autoencoder of codes with a perceptual loss and a critic of patches, then a prior over its codes."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers import depends_on_batch
from tfgen.losses import Hinge, perceptual_distance
from tfgen.losses.perceptual import turned
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.generative import SPAN
from tfgen.models.vector_quantised.coded import Coded, perplexity_names
from tfgen.serialization import serializable

FEATURES, ALONE, ADVERSARIAL, PRIOR = range(4)


@serializable
class VQGAN(Coded, AdversarialModel):
    """VQGAN (Esser et al., 2021, arXiv:2012.09841) in four stages within one `fit`.

    0: the perceptual network learns, without labels, by which quarter turn each image was turned (Gidaris et al., 2018,
    arXiv:1803.07728; reflections for images that are not square); the paper takes LPIPS of a network of ImageNet.
    1: encoder, codebook and decoder minimise, for images in [-1, 1] with n values,

        L = |x - x'| / n + perceptual_weight * d(x, x') + loss of the quantizers,

    with d of `tfgen.losses.perceptual_distance`. 2: the critic D of patches trains on `objective`, and the autoencoder
    minimises L + lambda * objective.generator(D(x')), with the adaptive weight (equation 7; bounds of the authors' code)

        lambda = critic_weight * clip(||g(L_rec)|| / (||g(L_adv)|| + 1e-4), 0, 1e4),

    g the gradient with respect to the decoder's last kernel, L_rec the first two terms of L, L_adv the critic's term.
    3: the priors minimise -log p(codes) / T in bits, all else fixed.

    Args:
        encoder, decoder, priors, autoencoder_steps: see `Coded.take`; the steps are those of stages 1 and 2.
        critic: Functional model, images -> scores (B, h, w, 1).
        perceptual: Functional model, images -> [feature maps ..., probabilities (B, 4)].
        perceptual_steps: steps of stage 0, >= 1.
        critic_start: step of stage 1 and 2, counted from the start of stage 1, at which stage 2 starts, >= 1.
        perceptual_weight, critic_weight: see above, >= 0.
        objective: what critic and autoencoder minimise, see `tfgen.losses.adversarial`.

    Also reported: `squared_error` per value in [0, 1], `perceptual` (d), `quantisation`, `bits_per_code`,
    `adaptive_weight` (lambda), the objective's readings `critic_real` and `critic_fake`, `turns` (the cross-entropy of stage
    0 in nats), `stage`, and `perplexity` as for `VQVAE`. In training, losses of other stages are reported as 0. In
    validation, `generator_loss` is L plus `bits_per_code`.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = ("squared_error", "perceptual", "quantisation", "bits_per_code", "adaptive_weight", "critic_real",
                  "critic_fake", "turns", "stage")

    def __init__(self, encoder, decoder, priors, critic, perceptual, perceptual_steps=500, autoencoder_steps=1000,
                 critic_start=500, perceptual_weight=1.0, critic_weight=0.8, objective=Hinge(), **kwargs):
        self.loss_names = (*type(self).loss_names, *perplexity_names(len(encoder.outputs) // 3))
        super().__init__(**kwargs)
        self.take(encoder, decoder, priors, autoencoder_steps)
        for name, network in (("critic", critic), ("perceptual network", perceptual)):
            taken = tuple(network.inputs[0].shape[1:])
            require(taken == self.image_shape, f"the {name} takes images of {taken}, the encoder {self.image_shape}")
        require(perceptual.outputs[-1].shape[-1] == 4 and len(perceptual.outputs) > 1,
                f"the perceptual network must give feature maps and 4 probabilities, it gives "
                f"{[tuple(output.shape[1:]) for output in perceptual.outputs]}")
        require(perceptual_steps >= 1 and 1 <= critic_start <= autoencoder_steps,
                f"expected perceptual_steps >= 1 and critic_start from 1 to autoencoder_steps={autoencoder_steps}, received "
                f"{perceptual_steps} and {critic_start}")
        require(perceptual_weight >= 0 and critic_weight >= 0, f"expected weights >= 0, received perceptual_weight="
                                                               f"{perceptual_weight} and critic_weight={critic_weight}")
        self.critic = critic
        self.perceptual = perceptual
        self.perceptual_steps = perceptual_steps
        self.critic_start = critic_start
        self.perceptual_weight = perceptual_weight
        self.critic_weight = critic_weight
        self.objective = objective
        self.joint_batches = not depends_on_batch(critic)
        self.built = True

    @property
    def starts(self):
        return [self.perceptual_steps + steps for steps in (0, self.critic_start, self.autoencoder_steps)]

    @property
    def generator_networks(self):
        autoencoder = [self.encoder, self.decoder]
        return {FEATURES: [self.perceptual], ALONE: autoencoder, ADVERSARIAL: autoencoder, PRIOR: self.priors,
                None: [self.perceptual, *autoencoder, *self.priors]}[self._stage]

    def train_step(self, data):
        return self.by_stage(lambda: AdversarialModel.train_step(self, data) if self.stage == ADVERSARIAL else
                             self.step_alone(data, self.losses_alone))

    def losses_alone(self, batch):
        """Losses of the stages without a critic, in training."""
        stage = {"stage": tf.constant(self.stage, tf.float32)}
        if self.stage == FEATURES:
            loss = self.turning_loss(batch, training=True)
            return stage | {"generator_loss": loss, "turns": loss}
        if self.stage == ALONE:
            made = self.generate(batch, training=True)
            losses = self.reconstruction_losses(batch, made)
            return stage | losses | {"generator_loss": self.autoencoder_loss(losses, made)}
        codes = self.quantised(batch)[1]
        loss, found = self.prior_losses([ops.stop_gradient(grid) for grid in codes], batch, training=True)
        return stage | self.perplexities(codes) | found | {"generator_loss": loss}

    def turning_loss(self, x, training):
        """Cross-entropy of the perceptual network's task in nats: ()."""
        images, turns = turned(ops.convert_to_tensor(x))
        probabilities = ops.cast(self.perceptual(images, training=training)[-1], "float32")
        return ops.mean(keras.losses.sparse_categorical_crossentropy(turns, probabilities))

    def generate(self, batch, training):
        vectors, codes, quantisation = self.quantised(batch, training)
        # The image, and what enters the decoder's last layer of weights.
        whole = keras.Model(self.decoder.input, [self.decoder.outputs[0], self.last_layer.input])
        image, features = whole(vectors, training=training)
        return {"image": ops.cast(image, "float32"), "features": features, "codes": codes, "quantisation": quantisation}

    @property
    def last_layer(self):
        """The decoder's last layer with a kernel."""
        return [layer for layer in self.decoder.layers if hasattr(layer, "kernel")][-1]

    def adaptive_weight(self, rated, judged, features):
        """lambda, from the gradients of L_rec and L_adv at the images and the features before the last layer: ()."""
        last = keras.Model(self.last_layer.input, self.decoder.outputs[0])
        with tf.GradientTape(persistent=True) as tape:
            image = ops.cast(last(features), "float32")
        # Slopes of means, of the order of 1 / size, would vanish in half precision.
        size = tf.cast(tf.size(image), tf.float32)
        found = [tape.gradient(image, self.last_layer.kernel, output_gradients=size * slope) for slope in (rated, judged)]
        norms = [tf.norm(tf.cast(slope, tf.float32)) / size for slope in found]
        return tf.stop_gradient(self.critic_weight * tf.clip_by_value(norms[0] / (norms[1] + 1e-4), 0.0, 1e4))

    def reconstruction_losses(self, x, made):
        """{"absolute_error", ...}: the terms of L and what is reported of them."""
        ours, theirs = (self.perceptual(images, training=False)[:-1] for images in (made["image"], x))
        distance = ops.mean(perceptual_distance(ours, [ops.stop_gradient(one) for one in theirs]))
        return {"absolute_error": ops.mean(ops.abs(SPAN * (x - made["image"]))), "perceptual": distance,
                "squared_error": ops.mean(ops.square(x - made["image"])), "quantisation": made["quantisation"],
                **self.perplexities(made["codes"])}

    def rated(self, losses):
        """L_rec: the terms of L that compare images."""
        return losses["absolute_error"] + self.perceptual_weight * losses["perceptual"]

    def autoencoder_loss(self, losses, made):
        """L."""
        return self.rated(losses) + made["quantisation"]

    def judge(self, images, training):
        return [ops.cast(self.critic(images, training=training), "float32")]

    def critic_losses(self, batch, made, training):
        real, fake = judge_both(lambda images: self.judge(images, training), [batch], [made["image"]], self.joint_batches)
        return {"critic_loss": self.objective.critic(real[0], fake[0]), "critic_real": self.objective.reading(real[0]),
                "critic_fake": self.objective.reading(fake[0])}

    def generator_losses(self, batch, made, training):
        if not training:
            losses = self.reconstruction_losses(batch, made)
            loss, found = self.prior_losses(made["codes"], batch, training)
            losses |= found | {"adaptive_weight": ops.zeros(()), "turns": self.turning_loss(batch, False)}
            losses["stage"] = ops.cast(self.stage_at(self.step), "float32")
            return losses | {"generator_loss": self.autoencoder_loss(losses, made) + loss}
        # The gradients at the images, then through the decoder's last layer alone.
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(made["image"])
            losses = self.reconstruction_losses(batch, made)
            rated, judged = self.rated(losses), self.objective.generator(self.judge(made["image"], training)[0])
        slopes = [tape.gradient(loss, made["image"]) for loss in (rated, judged)]
        weight = self.adaptive_weight(*slopes, tf.stop_gradient(made["features"]))
        loss = self.autoencoder_loss(losses, made) + weight * judged
        return losses | {"generator_loss": loss, "adaptive_weight": weight, "bits_per_code": ops.zeros(()),
                         "turns": ops.zeros(()), "stage": tf.constant(self.stage, tf.float32)}

"""Diffusion models steered by a classifier of noisy images."""

import keras
import tensorflow as tf
from keras import ops

from tfgen.distributions.discrete import log_probability
from tfgen.errors import require
from tfgen.models.base.generative import images_and_labels
from tfgen.models.diffusion.denoiser import Diffusion, clean_of
from tfgen.samplers.denoising import Estimate
from tfgen.serialization import serializable


@serializable(inherit=True)
class GuidedDiffusion(Diffusion):
    """An unconditional `Diffusion` and a classifier of its noisy images, which steers samples (Dhariwal & Nichol, 2021).

    With weight w, the score of log p(x; sigma) + w log p(label | x, sigma), so that

        denoise(x, sigma, label) = denoise(x, sigma) + w sigma^2 d log p(label | x, sigma) / dx.

    Both are trained at once, on the same noisy images: the loss is the denoiser's plus the classifier's cross-entropy, and
    neither has a weight of the other.

    Args:
        network: as for an unconditional `Diffusion`.
        classifier: Functional model, [images (B, H, W, C), ln(sigma) / 4 (B,)] -> logits (B, K); K is the number of classes.
        others: as for `Diffusion`.

    Also reported: `cross_entropy` in nats and `accuracy` of the classifier, over all levels of noise.
    """

    loss_names = ("cross_entropy", "accuracy")

    def __init__(self, network, levels, parametrisation, classifier, **kwargs):
        super().__init__(network=network, levels=levels, parametrisation=parametrisation, **kwargs)
        require(self.num_classes is None, f"a guided model's denoiser expects no classes, received {self.num_classes}: the "
                                          "classifier has them")
        takes = [tuple(part.shape[1:]) for part in classifier.inputs]
        require(takes == [self.image_shape, ()],
                f"the classifier must take images {self.image_shape} and levels, it takes {takes}")
        self.classifier = classifier

    @property
    def weights_sampled(self):
        return super().weights_sampled + ("; of the classifier, those of the last step" if self.ema else "")

    @property
    def classes(self):
        return self.classifier.outputs[0].shape[-1]

    def logits(self, x, sigma, training=False):
        return ops.cast(self.classifier(self.network_inputs(x, sigma), training=training), "float32")

    def compute_losses(self, batch, training):
        images, label = images_and_labels(batch, self.classes)
        x = clean_of(images)
        sigma, drawn = self.noisy(x, training)
        noised = x + sigma * drawn
        losses = self.losses_at(x, noised, sigma, self.outputs(noised, sigma, training=training))
        logits = self.logits(noised, sigma, training)
        entropy = ops.mean(keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True))
        right = ops.mean(ops.cast(ops.argmax(logits, -1) == ops.cast(label, "int32"), "float32"))
        return losses | {"loss": losses["loss"] + entropy, "cross_entropy": entropy, "accuracy": right}

    def estimate(self, x, sigma, label=None, guidance=None):
        clean, mix = super().estimate(x, sigma)
        if label is None:
            return Estimate(clean, mix)
        guidance = 1.0 if guidance is None else guidance
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = log_probability(self.logits(x, sigma), label)
        return Estimate(self.held(clean + guidance * ops.square(sigma) * tape.gradient(found, x)), mix)

"""DRAEM: one network repairs simulated defects, a second one segments them from image and repair."""

import keras
from keras import ops

from tfgen.errors import require
from tfgen.layers.differences import blurred, pooled
from tfgen.models.base.generative import GenerativeModel, batch_images
from tfgen.models.detectors.base import Detector
from tfgen.serialization import serializable


@serializable
class DRAEM(Detector, GenerativeModel):
    """A network R that repairs simulated defects and a network S that segments them (Zavrtanik et al., 2021).

    With the blemished image x', its mask m and p = S(x', R(x')), minimises
    l1_weight * E |x - R(x')| + E [-m log p - (1 - m) log(1 - p)], means over pixels. The paper has squared error with
    structural similarity in place of L1, and the focal loss in place of cross-entropy. In validation, blemishes are a
    function of the image's hash. Batches are normal images, or (images, labels), whose labels are ignored.

    `anomaly_map` is p of the image itself, smoothed; `score` the maximum, or the mean of the highest pixels, as Zhang et al.
    (2023, arXiv:2211.11317) have it: one pixel may err, a defect has many. The authors' score is the maximum after a mean
    over 21x21 of 256x256 pixels, of which a `blur` of 0.024 of the side has the standard deviation.

    Args:
        repairer: Functional model, images (B, H, W, C) -> images in [0, 1].
        segmenter: Functional model, images and repairs as channels (B, H, W, 2 C) -> probabilities (B, H, W, 1).
        blemishes: a `tfgen.layers.Blemishes`.
        l1_weight: >= 0.
        blur: standard deviation in pixels of the Gaussian that smooths maps; 0 disables smoothing.
        top: fraction in [0, 1] of the highest pixels, whose mean is the score; 0 uses the maximum.
        augmentation: of training images, see `GenerativeModel`.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = ("l1", "segmentation")

    def __init__(self, repairer, segmenter, blemishes, l1_weight=10.0, blur=0.0, top=0.0, augmentation=None, **kwargs):
        super().__init__(**kwargs)
        taken, made = tuple(repairer.inputs[0].shape[1:]), tuple(repairer.outputs[0].shape[1:])
        require(taken == made, f"the repairer must give images like those it takes, {taken}, it gives {made}")
        wanted = (*made[:2], 2 * made[2]), (*made[:2], 1)
        found = tuple(segmenter.inputs[0].shape[1:]), tuple(segmenter.outputs[0].shape[1:])
        require(found == wanted, f"the segmenter must map {wanted[0]} to {wanted[1]} for images of {made}, it maps "
                                 f"{found[0]} to {found[1]}")
        self.repairer = repairer
        self.segmenter = segmenter
        self.blemishes = blemishes
        self.l1_weight = l1_weight
        self.blur = blur
        self.top = top
        self.augmentation = augmentation
        self.built = True

    @property
    def image_shape(self):
        return tuple(self.repairer.outputs[0].shape[1:])

    def repair(self, x, training):
        return ops.cast(self.repairer(x, training=training), "float32")

    def segment(self, x, repaired, training):
        """Probabilities (B, H, W, 1) that pixels are anomalous."""
        return ops.cast(self.segmenter(ops.concatenate([x, repaired], axis=-1), training=training), "float32")

    def compute_losses(self, batch, training):
        x = batch_images(batch)
        blemished, mask = self.blemishes.blemish(x, self.blemishes.uniforms(x, training))
        repaired = self.repair(blemished, training)
        found = self.segment(blemished, repaired, training)
        l1 = ops.mean(ops.abs(x - repaired))
        segmentation = ops.mean(keras.losses.binary_crossentropy(mask, found))
        return {"loss": self.l1_weight * l1 + segmentation, "l1": l1, "segmentation": segmentation}

    def reconstruct(self, x):
        return self.repair(x, training=False)

    def anomaly_map(self, x):
        x = ops.convert_to_tensor(x)
        return blurred(self.segment(x, self.reconstruct(x), training=False)[..., 0], self.blur)

    def score(self, x):
        return pooled(self.anomaly_map(x), self.top)

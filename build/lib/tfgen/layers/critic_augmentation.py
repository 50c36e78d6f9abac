"""What a critic sees of real and generated images in training: random changes through which gradients pass."""

from keras import ops

from tfgen import noise
from tfgen.layers.augmentation import shifted
from tfgen.layers.corruption import Corruption
from tfgen.serialization import serializable


class CriticAugmentation(Corruption):
    """Base class of T: in training a critic judges T(real) and T(generated), each with its own draws.

    A subclass defines `noise_shape` and `corrupt`, which is differentiable in the images. One that follows the critic also
    defines `readings`, `check`, `watch` and `adapt`.

    Attributes:
        readings: names of the further reported values that `watch` gives.
    """

    use = noise.AUGMENTATION
    readings = ()

    def check(self, objective):
        """Raises a `UserError` for an objective with whose scores the augmentation cannot work."""

    def watch(self, scores, objective, training):
        """Takes the critic's scores (B, …) of real images of one update; gives {name: scalar} of `readings`."""
        return {}

    def adapt(self):
        """Called once at the end of each training step."""


@serializable
class DiffAugment(CriticAugmentation):
    """Changes colours, shifts, and cuts out a rectangle of every image (Zhao et al., 2020, arXiv:2006.10738).

    In this order, each amount uniform and drawn per image; the authors' numbers are for images in [-1, 1], these for [0, 1]:

    - brightness: x + b, b in ±0.25;
    - saturation: the differences from a pixel's mean over channels times 0 ... 2, only with several channels;
    - contrast: the differences from the image's mean times 0.5 ... 1.5;
    - translation: whole pixels, up to 1/8 of each side (rounded down) either way; what comes in is mid-grey, 0.5;
    - cutout: a mid-grey rectangle of half of each side (rounded down), whose centre is anywhere in the image.

    Values may leave [0, 1].
    """

    GREY = 0.5

    def noise_shape(self, image_shape):
        return (7,)

    def corrupt(self, x, uniforms):
        brightness, saturation, contrast, *places = ops.split(uniforms[:, :, None, None], 7, axis=1)
        places = [place[:, 0, 0] for place in places]  # (B, 1)
        x = x + 0.5 * (brightness - 0.5)
        if x.shape[-1] > 1:
            x = about(x, ops.mean(x, axis=-1, keepdims=True), 2.0 * saturation)
        x = about(x, ops.mean(x, axis=(1, 2, 3), keepdims=True), 0.5 + contrast)
        down, right = (whole(u, -(side // 8), side // 8) for u, side in zip(places[:2], x.shape[1:3]))
        seen = ~cut(places[2], x.shape[1])[:, :, None, None] | ~cut(places[3], x.shape[2])[:, None, :, None]
        return self.GREY + ops.where(seen, shifted(x - self.GREY, down, right), 0.0)


def about(x, centre, factor):
    """centre + factor (x - centre)."""
    return centre + factor * (x - centre)


def whole(uniforms, low, high):
    """Whole numbers from `low` to `high`, both included, of uniforms in [0, 1)."""
    return low + ops.floor(uniforms * (high - low + 1))


def cut(uniforms, side):
    """True in a span of side // 2 pixels that begins at -(span // 2) ... side - ceil(span / 2): (B, 1) -> (B, side)."""
    span = side // 2
    start = whole(uniforms, -(span // 2), side - (span + 1) // 2)
    place = ops.arange(side, dtype="float32")[None, :]
    return (place >= start) & (place < start + span)

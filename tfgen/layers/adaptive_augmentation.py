"""Adaptive discriminator augmentation: changes whose probability follows how far the critic overfits."""

import math

import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.critic_augmentation import CriticAugmentation, about, whole
from tfgen.serialization import serializable

GATES, AMOUNTS = 13, 15
LUMA = 3**-0.5  # each coordinate of the unit vector of grey colours


@serializable
class AdaptiveAugmentation(CriticAugmentation):
    """ADA: each change happens with probability p, which rises while the critic overfits (Karras et al., 2020,
    arXiv:2006.06676).

    Every `interval` training steps p moves by (real images seen) / `images`, up if r_t = E sign(D(real) - b) of these steps
    is over `target`, down if under; b is the objective's `boundary`, the score of an image that may as well be real as
    generated. p begins at 0 and stays in [0, `limit`].

    The changes, in the paper's order and with its amounts, independent per image:

    - pixels: mirrored or not; turned by 0, 90, 180 or 270 degrees; moved by whole pixels, up to 1/8 of the side;
    - geometry: scaled by 2^N(0, 0.2^2), rotated by any angle, before and after one side is scaled against the other, moved
      by N(0, 1/8^2) of the side; bilinear (the paper filters against aliasing, too), reflected at the borders;
    - colours: brightness N(0, 0.1^2), contrast 2^N(0, 0.5^2) about mid-grey, brightness inverted or not; with three channels
      hue, with several saturation 2^N(0, 1).

    The distribution of such a T(x) tells that of x as long as leaving an image as it is stays likelier than any other change
    of its kind, which it is for p < 1, so that mirrored or turned images do not leak into the samples, not even of digits;
    by the paper up to p = 0.8, the default limit, which the paper's own code does not have.

    Args:
        target: of r_t, in (-1, 1).
        interval: training steps between two moves of p, >= 1.
        images: real images in which p could go from 0 to 1, >= 1.
        limit: the largest p, in (0, 1].
        seed: seed of the layer's random state; None uses Keras' global seed.

    Also reported: `augmentation_p` and `real_sign` (r_t; in validation that of images that are new to the critic).

    Raises:
        UserError: for a number out of range, or for an objective without a boundary (Wasserstein, energies): the sign of its
            scores says nothing. The paper's other measure, r_v, needs held-out images in training.
    """

    readings = ("augmentation_p", "real_sign")

    def __init__(self, target=0.6, interval=4, images=500_000, limit=0.8, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        require(-1 < target < 1, f"AdaptiveAugmentation(target) expects a number in (-1, 1), received {target}")
        require(interval >= 1, f"AdaptiveAugmentation(interval) expects at least 1 step, received {interval}")
        require(images >= 1, f"AdaptiveAugmentation(images) expects at least 1, received {images}")
        require(0 < limit <= 1, f"AdaptiveAugmentation(limit) expects a probability in (0, 1], received {limit}")
        self.target = target
        self.interval = interval
        self.images = images
        self.limit = limit
        self.p = self.add_weight((), "zeros", trainable=False, name="p", aggregation="mean")
        # [real images seen, sum of their signs] since the last move, on one replica.
        self.seen = self.add_weight((2,), "zeros", trainable=False, name="seen", aggregation="mean")
        self.step = self.add_weight((), "zeros", dtype="int32", trainable=False, name="step",
                                    aggregation="only_first_replica")

    def check(self, objective):
        require(objective.boundary is not None,
                f"AdaptiveAugmentation expects an objective whose scores are about a boundary of real and generated images, "
                f"received {type(objective).__name__}: take DiffAugment")

    def watch(self, scores, objective, training):
        signs = ops.sign(scores - objective.boundary)
        if training:
            self.seen.assign_add(ops.stack([ops.cast(ops.size(signs), "float32"), ops.sum(signs)]))
        return {"augmentation_p": tf.convert_to_tensor(self.p), "real_sign": ops.mean(signs)}

    def adapt(self):
        self.step.assign_add(1)
        due = tf.convert_to_tensor(self.step) % self.interval == 0
        count, total = ops.unstack(tf.convert_to_tensor(self.seen))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # sign(total - target count) is that of r_t - target, and 0 of no images.
        moved = self.p + ops.sign(total - self.target * count) * count * replicas / self.images
        self.p.assign(ops.where(due, ops.clip(moved, 0.0, self.limit), self.p))
        self.seen.assign(ops.where(due, 0.0, self.seen))

    def noise_shape(self, image_shape):
        return (GATES + AMOUNTS,)

    def corrupt(self, x, uniforms):
        draws = Draws(uniforms, tf.convert_to_tensor(self.p))
        return coloured(placed(x, draws), draws)


class Draws:
    """The gates and amounts of a batch, in the order of asking.

    Args:
        uniforms: (B, GATES + AMOUNTS) in [0, 1).
        p: probability that a change happens, a scalar.
    """

    def __init__(self, uniforms, p):
        columns = ops.unstack(uniforms, axis=1)
        self.gates, self.amounts, self.p = iter(columns[:GATES]), iter(columns[GATES:]), p

    def uniform(self, low=0.0, high=1.0):
        """(B,) uniform in [low, high)."""
        return low + (high - low) * next(self.amounts)

    def normal(self, deviation):
        """(B,) normal with mean 0."""
        return deviation * math.sqrt(2.0) * ops.erfinv(ops.clip(self.uniform(-1.0, 1.0), -0.999999, 0.999999))

    def whole(self, count):
        """(B,) of 0 ... count - 1."""
        return whole(next(self.amounts), 0, count - 1)

    def gated(self, *amounts, neutral, p=None):
        """Amounts (B,) where a change happens, else `neutral`: all of an image happen together."""
        happens = next(self.gates) < (self.p if p is None else p)
        found = [ops.where(happens, amount, neutral) for amount in amounts]
        return found if len(found) > 1 else found[0]


def placed(x, draws):
    """Images after the changes of pixels and geometry."""
    _, height, width, _ = x.shape
    mirrored = draws.gated(1.0 - 2.0 * draws.whole(2), neutral=1.0)
    turned = draws.gated(0.5 * math.pi * draws.whole(4), neutral=0.0)
    eighth = draws.gated(*(ops.round(draws.uniform(-0.125, 0.125) * side) for side in (width, height)), neutral=0.0)
    scale = draws.gated(2.0 ** draws.normal(0.2), neutral=1.0)
    # Before or after: together with probability p.
    either = 1.0 - ops.sqrt(1.0 - draws.p)
    before = draws.gated(draws.uniform(-math.pi, math.pi), neutral=0.0, p=either)
    aspect = draws.gated(2.0 ** draws.normal(0.2), neutral=1.0)
    after = draws.gated(draws.uniform(-math.pi, math.pi), neutral=0.0, p=either)
    moved = draws.gated(*(draws.normal(0.125) * side for side in (width, height)), neutral=0.0)
    # Where a pixel of the result comes from, about the centre: the inverse of each change, the last one first.
    right, down = (ops.arange(side, dtype="float32") - (side - 1) / 2 for side in (width, height))
    at = tuple(ops.broadcast_to(place, (1, height, width)) for place in (right[None, None, :], down[None, :, None]))
    at = minus(at, moved)
    at = rotated(at, after)
    at = at[0] / planes(aspect), at[1] * planes(aspect)
    at = rotated(at, before)
    at = at[0] / planes(scale), at[1] / planes(scale)
    at = minus(at, eighth)
    at = rotated(at, turned)
    at = at[0] * planes(mirrored), at[1]
    return sampled(x, at[0] + (width - 1) / 2, at[1] + (height - 1) / 2)


def planes(values):
    """(B,) -> (B, 1, 1)."""
    return values[:, None, None]


def minus(at, by):
    return tuple(place - planes(amount) for place, amount in zip(at, by))


def rotated(at, angle):
    """Places (right, down) where those that are rotated by `angle` (B,), clockwise as seen, come from."""
    cosine, sine = planes(ops.cos(angle)), planes(ops.sin(angle))
    return cosine * at[0] + sine * at[1], cosine * at[1] - sine * at[0]


def sampled(x, columns, rows):
    """Images (B, H, W, C) at places (B, H, W) in pixels, bilinear, reflected at the borders without repeating them."""
    _, height, width, channels = x.shape
    flat = ops.reshape(x, (-1, height * width, channels))
    total = 0.0
    for row, vertical in neighbours(rows, height):
        for column, horizontal in neighbours(columns, width):
            index = ops.reshape(row * width + column, (-1, height * width))
            part = ops.reshape(tf.gather(flat, index, axis=1, batch_dims=1), (-1, height, width, channels))
            total += (vertical * horizontal)[..., None] * part
    return total


def neighbours(places, length):
    """The two pixels of a line next to each place, and their weights: two pairs (int32, float32)."""
    period = max(2.0 * (length - 1), 1.0)
    # Rounding of a turn's sine must not mix two pixels.
    inside = ops.mod(ops.where(ops.abs(places - ops.round(places)) < 1e-4, ops.round(places), places), period)
    inside = ops.minimum(inside, period - inside)
    low = ops.clip(ops.floor(inside), 0.0, max(length - 2.0, 0.0))
    share = inside - low
    first = ops.cast(low, "int32")
    return (first, 1.0 - share), (ops.minimum(first + 1, length - 1), share)


def coloured(x, draws):
    """Images after the changes of colours."""
    brightness = draws.gated(draws.normal(0.1), neutral=0.0)
    contrast = draws.gated(2.0 ** draws.normal(0.5), neutral=1.0)
    inverted = draws.gated(draws.whole(2), neutral=0.0)
    hue = draws.gated(draws.uniform(-math.pi, math.pi), neutral=0.0)
    saturation = draws.gated(2.0 ** draws.normal(1.0), neutral=1.0)
    x = about(x + planes(brightness)[..., None], 0.5, planes(contrast)[..., None])
    grey = ops.mean(x, axis=-1, keepdims=True)
    new = about(grey, 0.5, 1.0 - 2.0 * planes(inverted)[..., None])
    if x.shape[-1] == 1:
        return new
    colour = x - grey
    if x.shape[-1] == 3:
        # Rodrigues' formula about the axis of greys, which the colour's part is perpendicular to.
        across = LUMA * (ops.roll(colour, 1, axis=-1) - ops.roll(colour, -1, axis=-1))
        colour = planes(ops.cos(hue))[..., None] * colour + planes(ops.sin(hue))[..., None] * across
    return new + planes(saturation)[..., None] * colour

"""What critics see: DiffAugment and ADA against hand-worked images, their statistics, gradients and the control of p."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line
from scipy import ndimage

from tfgen import losses
from tfgen.layers import AdaptiveAugmentation, DiffAugment
from tfgen.layers.adaptive_augmentation import AMOUNTS, GATES

# Of DiffAugment: colours as they are, no shift; rows and columns of the cutout begin at the top left corner's outside.
BRIGHTNESS, SATURATION, CONTRAST, DOWN, RIGHT, ROWS, COLUMNS = range(7)
OFF, ON = 0.99, 0.0  # of a gate


def pictures(rows, *shape):
    return np.random.default_rng(0).random((rows, *shape), "float32")


def diffaugmented(x, **chosen):
    """Images with uniforms of which each that is not chosen changes nothing; the cutout covers the top left corner."""
    uniforms = np.full((len(x), 7), 0.5, "float32")
    uniforms[:, [ROWS, COLUMNS]] = 0.0
    for name, value in chosen.items():
        uniforms[:, globals()[name]] = value
    return np.asarray(DiffAugment().corrupt(tf.constant(x), tf.constant(uniforms)))


def test_cutout_is_half_of_each_side_about_a_centre_within_the_image():
    """8 pixels: 4 are cut out from place -2 ... 6, so that 2 at least are inside."""
    x = pictures(2, 8, 8, 1)
    wanted = x.copy()
    wanted[:, :2, :2] = 0.5
    np.testing.assert_allclose(diffaugmented(x), wanted, atol=1e-6)
    wanted = x.copy()
    wanted[:, 6:, 1:5] = 0.5
    np.testing.assert_allclose(diffaugmented(x, ROWS=0.99, COLUMNS=3.5 / 9), wanted, atol=1e-6)


def test_a_shift_brings_grey_in():
    """17 pixels: 2 either way, five places; to the bit, as pixels stay whole."""
    x = pictures(1, 17, 17, 2)
    made = diffaugmented(x, DOWN=0.99, RIGHT=0.01)  # 2 down, 2 left
    wanted = np.full_like(x, 0.5)
    wanted[:, 2:, :-2] = x[:, :-2, 2:]
    np.testing.assert_allclose(made[:, 4:, 4:], wanted[:, 4:, 4:], atol=1e-6)
    np.testing.assert_array_equal(made[:, :2], 0.5)
    np.testing.assert_array_equal(made[:, :, -2:], 0.5)


def test_colours_in_their_order():
    """One pixel of (0.2, 0.4, 0.9) and one of 0.5: brightness +0.1, differences from a pixel's mean doubled less half, then
    those from the image's mean halved and a quarter added."""
    x = np.array([[[[0.2, 0.4, 0.9], [0.5, 0.5, 0.5]]]], "float32")
    made = diffaugmented(x, BRIGHTNESS=0.7, SATURATION=0.75, CONTRAST=0.25)
    brighter = x + 0.1  # means 0.6 and 0.6
    saturated = 0.6 + 1.5 * (brighter - 0.6)
    np.testing.assert_allclose(made, 0.6 + 0.75 * (saturated - 0.6), atol=1e-6)
    # Saturation leaves grey images as they are.
    np.testing.assert_allclose(diffaugmented(x[..., :1], SATURATION=0.0), x[..., :1], atol=1e-6)


def test_what_diffaugment_draws():
    """Of black images: every one of 3 x 3 shifts and of 9 x 9 cutouts of 8 pixels; their mean brightness."""
    layer = DiffAugment(seed=1)
    x = np.zeros((4000, 8, 8, 1), "float32")
    x[:, 3, 4] = 10.0
    made = np.asarray(layer(x, training=True))
    found = [tuple(place) for place in np.argwhere(made[..., 0] > 2)[:, 1:]]
    counts = np.array([found.count((row, column)) for row in (2, 3, 4) for column in (3, 4, 5)])
    # A pixel is seen unless it is in both spans, of 9 places each: 3 (row 2) or 4 of these hold it.
    seen = np.array([1 - (min(row + 3, 4) / 9) * (min(10 - column, 4) / 9) for row in (2, 3, 4) for column in (3, 4, 5)])
    assert len(found) == counts.sum()
    np.testing.assert_allclose(counts, 4000 / 9 * seen, atol=5 * np.sqrt(4000 / 9))
    flat = np.asarray(layer(np.full((4000, 8, 8, 1), 0.3, "float32"), training=True))
    # Half of the rows of the first column show the image, or more: the median is its brightness, in 0.3 +- 0.25.
    brightness = flat.reshape(4000, -1).max(1)
    assert 0.5 <= brightness.max() <= 0.55 and flat.min() >= 0.05 - 1e-6
    assert np.unique(np.round(flat[:, 0, 0, 0], 4)).size > 1000  # drawn per image


def test_diffaugment_is_for_training():
    x = pictures(2, 8, 8, 1)
    np.testing.assert_array_equal(DiffAugment()(x), x)
    first, second = (np.asarray(DiffAugment(seed=3)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    layer = DiffAugment(seed=3)
    np.testing.assert_array_equal(layer(x, training=True), first)
    assert np.abs(layer(x, training=True) - first).max() > 0.01


@pytest.mark.parametrize("layer, count", [(DiffAugment(), 7), (AdaptiveAugmentation(), GATES + AMOUNTS)])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_pass_exactly(layer, count, channels):
    """With its draws fixed a change is affine: T(x + v) - T(x) = J v, and w . J v = J^T w . v."""
    if isinstance(layer, AdaptiveAugmentation):
        layer.p.assign(0.5)
    x, v, w = tf.unstack(tf.constant(np.random.default_rng(2).normal(size=(3, 40, 9, 12, channels)), tf.float32))
    uniforms = tf.constant(np.random.default_rng(3).random((40, count)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = tf.reduce_sum(w * layer.corrupt(x, uniforms))
    back = tf.reduce_sum(v * tape.gradient(made, x), axis=(1, 2, 3))
    there = tf.reduce_sum(w * (layer.corrupt(x + v, uniforms) - layer.corrupt(x, uniforms)), axis=(1, 2, 3))
    np.testing.assert_allclose(back, there, atol=5e-3)
    assert np.abs(back).min() > 0


# Gates of ADA and the places of its amounts, in order.
CHANGES = {"mirror": 1, "turn": 1, "shift": 2, "scale": 1, "before": 1, "aspect": 1, "after": 1, "move": 2, "brightness": 1,
           "contrast": 1, "invert": 1, "hue": 1, "saturation": 1}


def adapted(x, **amounts):
    """Images of ADA with p near 1 of which the named changes happen, with the given uniforms."""
    layer = AdaptiveAugmentation()
    layer.p.assign(0.75)
    gates, draws = [OFF] * GATES, [0.5] * AMOUNTS
    starts = dict(zip(CHANGES, np.cumsum([0, *CHANGES.values()])))
    for name, given in amounts.items():
        gates[list(CHANGES).index(name)] = ON
        draws[starts[name]:starts[name] + CHANGES[name]] = np.atleast_1d(given)
    return np.asarray(layer.corrupt(tf.constant(x), tf.constant([gates + draws] * len(x), tf.float32)))


def quantile(value):
    """The uniform number whose normal quantile is `value`."""
    return float(0.5 * (1 + tf.math.erf(value / np.sqrt(2.0))))


def test_all_changes_of_ada_are_there():
    assert len(CHANGES) == GATES and sum(CHANGES.values()) == AMOUNTS
    x = pictures(2, 8, 8, 3)
    np.testing.assert_allclose(adapted(x), x, atol=1e-6)


def test_ada_moves_whole_pixels():
    x = pictures(2, 16, 16, 2)
    np.testing.assert_allclose(adapted(x, mirror=0.9), x[:, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(adapted(x, mirror=0.1), x, atol=1e-6)
    for quarter in range(4):
        wanted = np.rot90(x, -quarter, axes=(1, 2))
        np.testing.assert_allclose(adapted(x, turn=(quarter + 0.5) / 4), wanted, atol=1e-5)
    # 2 right, 1 up; the border reflects.
    reflected = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    np.testing.assert_allclose(adapted(x, shift=[0.999, 0.25]), reflected[:, 3:19, 0:16], atol=1e-5)
    # Mirrored first, then turned by 90 degrees clockwise.
    np.testing.assert_allclose(adapted(x, mirror=0.9, turn=0.3), np.rot90(x[:, :, ::-1], -1, axes=(1, 2)), atol=1e-5)


def test_ada_changes_geometry_as_scipy_does():
    x = pictures(1, 15, 15, 1)
    made = adapted(x, before=0.5 + 20 / 360)[0, ..., 0]
    np.testing.assert_allclose(made, ndimage.rotate(x[0, ..., 0], -20, order=1, reshape=False, mode="mirror"), atol=1e-4)
    np.testing.assert_allclose(adapted(x, after=0.5 + 20 / 360)[0, ..., 0], made, atol=1e-5)

    def stretched(down, right):
        centre = np.array([7.0, 7.0])
        matrix = np.array([1 / down, 1 / right])
        return ndimage.affine_transform(x[0, ..., 0], matrix, centre - matrix * centre, order=1, mode="mirror")

    larger = 2 ** 0.2  # one deviation
    np.testing.assert_allclose(adapted(x, scale=quantile(1.0))[0, ..., 0], stretched(larger, larger), atol=1e-4)
    np.testing.assert_allclose(adapted(x, aspect=quantile(1.0))[0, ..., 0], stretched(1 / larger, larger), atol=1e-4)
    # Half a deviation of 1/8 of 15 pixels to the right, none down.
    moved = ndimage.shift(x[0, ..., 0], (0, 15 / 16), order=1, mode="mirror")
    np.testing.assert_allclose(adapted(x, move=[quantile(0.5), 0.5])[0, ..., 0], moved, atol=1e-4)


def test_ada_changes_colours():
    x = np.array([[[[0.2, 0.4, 0.9]]]], "float32")
    np.testing.assert_allclose(adapted(x, brightness=quantile(1.0)), x + 0.1, atol=1e-4)
    np.testing.assert_allclose(adapted(x, contrast=quantile(2.0)), 0.5 + 2 * (x - 0.5), atol=1e-4)
    # A grey image is inverted; of a colour its grey, 0.5 here.
    np.testing.assert_allclose(adapted(x[..., :1], invert=0.9), 1 - x[..., :1], atol=1e-6)
    np.testing.assert_allclose(adapted(x + 0.1, invert=0.9), x - 0.1, atol=1e-6)
    np.testing.assert_allclose(adapted(x, saturation=quantile(1.0)), 0.5 + 2 * (x - 0.5), atol=1e-4)
    # A third of the circle exchanges the channels.
    np.testing.assert_allclose(adapted(x, hue=0.5 + 1 / 3), np.roll(x, 1, axis=-1), atol=1e-5)
    # Hue and saturation leave grey images as they are.
    np.testing.assert_allclose(adapted(x[..., :1], hue=0.9, saturation=0.9), x[..., :1], atol=1e-6)


def test_a_change_happens_with_probability_p():
    layer = AdaptiveAugmentation(seed=0)
    x = np.tile(pictures(1, 6, 6, 1), (4000, 1, 1, 1))
    np.testing.assert_allclose(layer(x, training=True), x, atol=1e-6)
    layer.p.assign(0.3)
    # Six show whenever they happen (the two rotations count for one, hue and saturation for none); half of the mirrors and
    # inversions, a quarter of the turns and shifts of under half a pixel do not.
    none = 0.7 ** 6 * 0.85 ** 2 * (1 - 0.3 * 3 / 4) * (1 - 0.3 * (1 - (0.5 / 0.75) ** 2))
    same = np.mean(np.all(np.abs(np.asarray(layer(x, training=True)) - x) < 1e-6, axis=(1, 2, 3)))
    assert same == pytest.approx(none, abs=4 * np.sqrt(none / 4000))


def watched(layer, *signs):
    """A step with scores of these signs about the boundary of least squares, 1/2."""
    scores = tf.constant(signs, tf.float32)[:, None] * 0.1 + 0.5
    read = layer.watch(scores, losses.LeastSquares(), training=True)
    layer.adapt()
    return {name: float(value) for name, value in read.items()} | {"p": float(layer.p)}


def test_p_follows_the_signs_of_real_scores():
    """Target 0.6, two steps of 4 images each, 40 images from 0 to 1: p moves by 8 / 40."""
    layer = AdaptiveAugmentation(interval=2, images=40, limit=0.5)
    steps = [watched(layer, 1, 1, 1, 1), watched(layer, 1, 1, 1, -1),  # r = 6/8 > 0.6
             watched(layer, 1, 1, 1, 1), watched(layer, 1, 1, 1, 1),
             watched(layer, 1, 1, 1, 1), watched(layer, 1, 1, 1, 1),  # held at the limit
             watched(layer, 1, 1, 1, 1), watched(layer, 1, 1, -1, -1)]  # r = 4/8 < 0.6
    np.testing.assert_allclose([step["p"] for step in steps], [0, 0.2, 0.2, 0.4, 0.4, 0.5, 0.5, 0.3], atol=1e-6)
    np.testing.assert_allclose([step["real_sign"] for step in steps], [1, 0.5, 1, 1, 1, 1, 1, 0])
    np.testing.assert_allclose([step["augmentation_p"] for step in steps], [0, 0, 0.2, 0.2, 0.4, 0.4, 0.5, 0.5], atol=1e-6)
    for _ in range(6):
        watched(layer, -1, -1, -1, -1)
    assert float(layer.p) == 0.0
    # Evaluation and steps without images move nothing.
    layer.p.assign(0.25)
    layer.watch(tf.ones((8, 1)), losses.Hinge(), training=False)
    for _ in range(4):
        layer.adapt()
    assert float(layer.p) == 0.25


def test_the_papers_speed():
    """256 images in 4 steps of 500,000."""
    layer = AdaptiveAugmentation()
    for _ in range(4):
        layer.watch(tf.ones((64, 1)), losses.NonSaturating(), training=True)
        layer.adapt()
    assert float(layer.p) == pytest.approx(256 / 500_000)


def test_scores_without_a_boundary_are_refused():
    for objective in (losses.Wasserstein(), losses.Energy(), losses.EnergyMargin()):
        one_line(["boundary", type(objective).__name__, "DiffAugment"], AdaptiveAugmentation().check, objective)
    for objective in (losses.Minimax(), losses.LeastSquares(), losses.Hinge(), losses.Lipschitz()):
        AdaptiveAugmentation().check(objective)
    for wrong in ({"target": 1.0}, {"interval": 0}, {"images": 0}, {"limit": 0.0}):
        one_line([next(iter(wrong))], AdaptiveAugmentation, **wrong)

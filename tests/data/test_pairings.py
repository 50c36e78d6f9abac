import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import load, pairings
from tfgen.errors import UserError
from tfgen.layers.corruption import EraseRegion

RNG = np.random.default_rng(0)


def random_images(*shape):
    return RNG.random(shape, np.float32)


def record(images):
    return {"image": tf.constant(images), "seed": tf.range(len(images), dtype=tf.int64)}


def drawn(picture, **settings):
    return pairings.edges(tf.constant(picture, tf.float32)[None, ..., None], **settings).numpy()[0, ..., 0]


def test_luminance_by_hand():
    colours = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(pairings.luminance(tf.constant(colours))[0, 0, :, 0], [0.299, 0.587, 0.114], rtol=1e-6)
    grey = pairings.by_name("grey")(record(np.ones((2, 4, 5, 3), np.float32)))
    np.testing.assert_allclose(grey, np.ones((2, 4, 5, 1)), rtol=1e-6)


@pytest.mark.parametrize("value", [0.2, 1.0, -1.0])
@pytest.mark.parametrize("turned", [False, True])
def test_a_step_is_one_line_one_pixel_wide(value, turned):
    step = np.zeros((12, 12))
    step[:, 7:] = abs(value)
    step = abs(value) - step if value < 0 else step
    lines = drawn(step.T if turned else step)
    lines = lines.T if turned else lines
    # The line is beside the step, on the same side in all rows, and there is no frame at the border.
    assert lines.sum() == 12 and lines[:, 6:8].any(0).sum() == 1 and set(np.unique(lines)) == {0, 1}


def test_a_diagonal_step_is_one_unbroken_line():
    rows, columns = np.mgrid[:16, :16]
    for step, off in ((rows > columns, rows - columns), (rows + columns > 15, rows + columns - 15)):
        lines = drawn(step)
        # A staircase of the two pixels that the step runs between.
        assert lines.any(1).all() and lines.any(0).all() and set(off[lines > 0]) <= {0, 1}


def test_a_box_is_drawn_closed_and_empty_inside():
    box = np.zeros((20, 20))
    box[5:15, 6:14] = 0.8
    lines = drawn(box)
    assert not lines[:4].any() and not lines[16:].any() and not lines[:, :5].any() and not lines[7:13, 8:12].any()
    assert all(lines[row].sum() == 2 for row in range(7, 13)) and all(lines[:, c].sum() == 2 for c in range(8, 12))


def test_even_images_and_gentle_slopes_stay_empty():
    assert not drawn(np.full((9, 9), 0.7)).any()
    assert not drawn(np.tile(np.linspace(0, 0.05, 16), (16, 1))).any()


def test_a_weak_line_is_kept_only_near_a_strong_one():
    step = np.linspace(1, 0, 101)[:, None] * (np.arange(20) >= 10)  # fades by 0.01 a row
    strong, lines, weak = (drawn(step, low=low, high=high).any(1).sum()
                           for low, high in ((0.3, 0.3), (0.1, 0.3), (0.1, 0.1)))
    assert 68 <= strong <= 72 and lines == strong + 4 and 88 <= weak <= 92


def test_an_edge_does_not_depend_on_the_other_images():
    images = tf.constant(random_images(4, 14, 11, 3))
    whole = pairings.edges(images)
    assert whole.shape == (4, 14, 11, 1)
    np.testing.assert_array_equal(whole[2:3], pairings.edges(images[2:3]))


def test_downscale_is_the_mean_of_blocks():
    images = random_images(2, 6, 4, 3)
    small = pairings.downscale(tf.constant(images), 2).numpy()
    assert small.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(small[1, 2, 1], images[1, 4:6, 2:4].mean((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(pairings.downscale(images, 1), images)
    for factor in (3, 0):
        with pytest.raises(ValueError, match="6x4"):
            pairings.downscale(images, factor)


def test_upscale_is_keys_interpolation():
    images = random_images(2, 5, 7, 3)
    for size in ((20, 28), (13, 9), (5, 7), 11):
        expected = tf.image.resize(images, (size, size) if size == 11 else size, "bicubic")
        np.testing.assert_allclose(pairings.upscale(images, size), np.clip(expected, 0, 1), atol=2e-3)
    # By hand, a row 0 1 0 0 twice as large: at 0.75 from the first pixel, weights of (-1.25, -0.25, 0.75, 1.75) away.
    row = np.zeros((1, 4, 4, 1), np.float32)
    row[:, :, 1] = 1
    np.testing.assert_allclose(pairings.upscale(row, 8)[0, 0, 3, 0], 1.5 * 0.25**3 - 2.5 * 0.25**2 + 1, rtol=1e-6)
    compiled = tf.function(lambda x: pairings.upscale(x, 11), jit_compile=True)
    np.testing.assert_allclose(compiled(images), pairings.upscale(images, 11), atol=1e-6)
    with pytest.raises(ValueError, match="5x7"):
        pairings.upscale(images, 6)


def test_low_resolution_keeps_even_images_and_block_means():
    pairing = pairings.by_name("low_resolution")
    assert pairing.name == "low_resolution:4" and pairing.source_shape((9, 12, 3)) == (9, 12, 3)
    even = np.full((1, 9, 12, 3), 0.3, np.float32)
    np.testing.assert_allclose(pairing(record(even)), even, rtol=1e-5)
    images = random_images(2, 8, 8, 1)
    np.testing.assert_array_equal(pairing(record(images)), pairings.upscale(pairings.downscale(images, 4), 8))
    odd = pairing(record(random_images(2, 10, 7, 1)))
    assert odd.shape == (2, 10, 7, 1) and odd.numpy().min() >= 0 and odd.numpy().max() <= 1


def test_erased_is_erase_region_of_the_seeds():
    images = random_images(6, 10, 10, 3)
    found = pairings.by_name("erased:0.4")(record(images)).numpy()
    np.testing.assert_array_equal(found, EraseRegion(0.2, 0.4, 0.5).seeded(tf.constant(images), tf.range(6, dtype=tf.int64)))
    gone = (found != images).any(-1)
    sides = [(hit.any(0).sum(), hit.any(1).sum()) for hit in gone]
    assert all(2 <= side <= 4 for pair in sides for side in pair) and len(set(sides)) > 1


def test_making_a_pairing_leaves_pythons_random_state_alone():
    import random

    before = random.getstate()
    pairings.by_name("erased")
    assert random.getstate() == before


@pytest.mark.parametrize("name", ["edges", "grey", "low_resolution", "low_resolution:2", "erased", "erased:0.25"])
def test_every_pairing_in_a_stream(name):
    pairing = pairings.by_name(name)
    assert pairings.by_name(pairing.name).name == pairing.name
    images = random_images(5, 8, 6, 3)
    data = tf.data.Dataset.from_tensor_slices(record(images)).batch(5).map(pairing)
    found = next(iter(data))
    assert found.shape == (5, *pairing.source_shape((8, 6, 3))) and found.dtype == tf.float32
    assert found.numpy().min() >= 0 and found.numpy().max() <= 1
    np.testing.assert_array_equal(found, pairing(record(images)))


@pytest.mark.parametrize(("text", "words"), [
    ("edge", "did you mean 'edges'"), ("gray", "did you mean 'grey'"), ("lowresolution:4", "did you mean 'low_resolution'"),
    ("side_by_sid", "did you mean 'side_by_side'"), ("", "one of"), ("edges:2", "no number"),
    ("low_resolution:1", "whole factor >= 2, received 1"), ("low_resolution:2.5", "2.5"),
    ("low_resolution:x", "'low_resolution:x'"), ("low_resolution:", "after the colon"), ("erased:0", "a share in"),
    ("erased:1.5", "1.5"), ("erased:nan", "erased:0.5"),
    (None, "'None'")])
def test_bad_names_are_one_line(text, words):
    with pytest.raises(UserError, match=words) as caught:
        pairings.by_name(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "shape", "words"), [
    ("grey", (8, 8, 1), "no colours"), ("edges", (8, 8, 4), "1 or 3 channels"), ("low_resolution:9", (8, 8, 1), "9 pixels")])
def test_images_that_a_pairing_cannot_take(name, shape, words):
    with pytest.raises(UserError, match=words) as caught:
        pairings.by_name(name).source_shape(shape)
    assert "\n" not in str(caught.value)


def test_digits_by_pairs():
    data = load("digits", pairs="erased")
    images, sources = data.images("test"), data.sources("test")
    assert data.spec.view == "paired" and data.spec.source_shape == (8, 8, 1) and data.spec.num_classes == 10
    assert sources.shape == images.shape and not sources.flags.writeable
    assert (sources != images).any((1, 2, 3)).mean() > 0.9
    np.testing.assert_array_equal(sources, data.sources("test"))
    np.testing.assert_array_equal(sources[:7], data.sources("test", limit=7))

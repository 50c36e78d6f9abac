"""Captions: words from measurements, and words as tokens."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import errors
from tfgen.layers import Captions
from tfgen.verbs import Text

NAMES = ("T-shirt/top", "Ankle boot", "Bag")


def rectangles(values, sizes):
    """Images 10 x 10 of a rectangle of `size` pixels with one value."""
    images = np.zeros((len(values), 100), "float32")
    for image, value, size in zip(images, values, sizes):
        image[:size] = value
    return images.reshape(-1, 10, 10, 1)


def observed():
    """Shades 0.3, 0.5, 0.7, 0.9 and sizes 20 to 80 of bags; boots are smaller and as bright."""
    layer = Captions(NAMES)
    shades, sizes = [0.3, 0.5, 0.7, 0.9] * 2, [20, 40, 60, 80, 10, 12, 14, 16]
    layer.observe(rectangles(shades, sizes), np.array([2] * 4 + [1] * 4))
    return layer


def test_statistics_and_scores_are_those_of_float64():
    layer = observed()
    shades, sizes = np.array([0.3, 0.5, 0.7, 0.9] * 2), np.array([0.2, 0.4, 0.6, 0.8, 0.1, 0.12, 0.14, 0.16])
    np.testing.assert_allclose(layer.measured(rectangles(shades, (100 * sizes).round().astype(int))),
                               np.stack([shades, sizes], 1), rtol=1e-5)
    found = layer.scores(rectangles([0.6], [70]), np.array([2]))
    np.testing.assert_allclose(found[0], [(0.6 - shades.mean()) / shades.std()], atol=1e-4)
    np.testing.assert_allclose(found[1], [(0.7 - sizes[:4].mean()) / sizes[:4].std()], rtol=1e-4)
    # Seen in parts or at once.
    parts = Captions(NAMES)
    for rows in (slice(3), slice(3, 8)):
        parts.observe(rectangles(shades, (100 * sizes).round().astype(int))[rows], np.array([2] * 4 + [1] * 4)[rows])
    for ours, theirs in zip(parts.weights, layer.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_words_follow_from_shade_and_size_of_the_class():
    layer = observed()
    x = rectangles([0.2, 0.55, 0.65, 0.95, 0.65], [20, 50, 50, 80, 16])
    assert layer.texts(layer.tokens(x, np.array([2, 2, 2, 2, 1]))) == [
        "small very dark bag", "dark bag", "light bag", "large very light bag", "large light ankle boot"]
    omitted = np.array([[True, False, False], [False, True, False], [False, False, True], [True, True, True], [False] * 3])
    assert layer.texts(layer.tokens(x, np.array([2, 2, 2, 2, 1]), omitted)) == [
        "very dark bag", "bag", "light", "", "large light ankle boot"]


def test_tokens_of_a_text_are_those_of_its_image():
    layer = observed()
    tokens = layer.tokens(rectangles([0.2, 0.65], [20, 16]), np.array([2, 1]))
    assert tokens.shape == (2, layer.most) and layer.most == 5
    texts = tf.constant(["small very dark bag", "  Large, LIGHT ankle boot. "])
    np.testing.assert_array_equal(layer.tokenised(texts), tokens)
    np.testing.assert_array_equal(layer.tokenised(tf.constant(["", "bag"]))[0], 0)
    # Left-aligned, and numbered as `words` from 1.
    assert layer.tokenised(tf.constant(["bag"])).numpy().tolist() == [[layer.words.index("bag") + 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("text", ["dark bagg", "small very dark large ankle boot"])
def test_unknown_words_and_long_texts_are_answered_with_the_words_known(text):
    layer = observed()
    with pytest.raises(tf.errors.InvalidArgumentError) as served:
        tf.function(layer.tokenised)(tf.constant(["bag"] * 9 + [text]))
    line, = (line for line in str(served.value).splitlines() if "assertion failed" in line)
    assert f"at most 5 of the words {', '.join(layer.words)}; received: {text}" in line
    with pytest.raises(errors.UserError, match="knows the words small, large, very, .* boot, bag, received 'bagg' in"
                       if "bagg" in text else "at most 5 words, received 6") as caught:
        layer.option().check("caption", text)
    assert "\n" not in str(caught.value)


def test_words_are_split_alike_in_python_and_in_the_graph():
    layer = Captions(["Été", "Straße"])
    np.testing.assert_array_equal(layer.tokenised(tf.constant(["ÉTÉ"])), layer.tokenised(tf.constant(["été"])))
    layer.option().check("caption", "ÉTÉ, straße")
    layer = observed()
    for text in ("Dark,bag", "dark   bag!", "\tDARK bag", "dark; bag:", "?dark bag"):
        assert Text.split(text) == ["dark", "bag"]
        np.testing.assert_array_equal(layer.tokenised(tf.constant([text])), layer.tokenised(tf.constant(["dark bag"])))


@pytest.mark.parametrize("names", [("Bag",), ("Bag", "bag"), ("Bag", "!")])
def test_class_names_must_differ_in_words(names):
    with pytest.raises(errors.UserError, match="at least two classes with distinct names, received"):
        Captions(names)

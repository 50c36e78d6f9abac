"""The quantizer against float64 references and updates worked by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import errors
from tfgen.layers import VectorQuantizer, perplexity


def vectors(rows=6, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 2, dim)).astype("float32")


def quantizer(dim=3, codes=5, **arguments):
    layer = VectorQuantizer(codes, **arguments)
    layer.build((None, 2, dim))
    layer.codebook.assign(np.random.default_rng(9).normal(size=(codes, dim)))
    return layer


def test_codes_are_the_nearest_in_float64():
    z, layer = vectors(), quantizer()
    book = layer.codebook.numpy().astype(float)
    wanted = np.square(z.astype(float)[..., None, :] - book).sum(-1).argmin(-1)
    quantised, codes, _ = layer(z)
    np.testing.assert_array_equal(codes, wanted)
    np.testing.assert_allclose(quantised, book[wanted], atol=1e-6)
    np.testing.assert_array_equal(layer.look_up(codes), layer.codebook.numpy()[wanted])
    # The codes of codebook vectors are these themselves.
    np.testing.assert_array_equal(layer.nearest(layer.codebook), np.arange(5))


@pytest.mark.parametrize("trained", [False, True])
def test_straight_through_gradient_and_losses_in_float64(trained):
    """d/dz sum(w * output) = w; the losses' gradients are those of the squared distances that they name."""
    z, layer, beta = vectors(), quantizer(trained=trained, commitment=0.5), 0.5
    weights = np.random.default_rng(2).normal(size=z.shape).astype("float32")
    x = tf.constant(z)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, layer.codebook.value])
        quantised, codes, loss = layer(x)
        passed = tf.reduce_sum(weights * quantised)
        total = tf.reduce_sum(loss)
    np.testing.assert_array_equal(tape.gradient(passed, x), weights)
    assert tape.gradient(passed, layer.codebook.value) is None
    book, chosen = layer.codebook.numpy().astype(float), np.asarray(codes)
    distance = z.astype(float) - book[chosen]
    mean_square = np.square(distance).mean((1, 2))
    np.testing.assert_allclose(loss, (beta + trained) * mean_square, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(total, x), beta * 2 * distance / 6, rtol=1e-5)
    slope = tape.gradient(total, layer.codebook.value)
    if not trained:
        assert slope is None and not layer.trainable_variables
        return
    wanted = np.zeros_like(book)
    np.add.at(wanted, chosen.ravel(), -2 * distance.reshape(-1, 3) / 6)
    np.testing.assert_allclose(tf.convert_to_tensor(slope), wanted, rtol=1e-5, atol=1e-6)


def test_running_average_as_worked_by_hand():
    """Codes at 0 and 10 with N = 4, 4; vectors 1, 3 and 8 give n = 2, 1 and s = 4, 8; decay 0.75.

    N = 0.75 * 4 + 0.25 * (2, 1) = 3.5, 3.25; m = 0.75 * (0, 40) + 0.25 * (4, 8) = 1, 32; e = 1 / 3.5, 32 / 3.25.
    """
    layer = VectorQuantizer(2, decay=0.75, revive=0.0)
    layer.build((None, 1))
    for weight, value in ((layer.codebook, [[0], [10]]), (layer.counts, [4, 4]), (layer.sums, [[0], [40]])):
        weight.assign(np.array(value, "float32"))
    quantised, codes, loss = layer(np.array([[1.0], [3.0], [8.0]], "float32"), training=True)
    # The output is of the codebook before the step.
    np.testing.assert_array_equal(codes, [0, 0, 1])
    np.testing.assert_array_equal(quantised, [[0], [0], [10]])
    np.testing.assert_allclose(loss, 0.25 * np.array([1.0, 9.0, 4.0]))
    np.testing.assert_allclose(layer.counts, [3.5, 3.25])
    np.testing.assert_allclose(layer.sums, [[1], [32]])
    np.testing.assert_allclose(layer.codebook, [[1 / 3.5], [32 / 3.25]])


def test_nothing_moves_outside_of_training():
    layer = quantizer()
    before = [v.numpy() for v in layer.variables]
    layer(vectors())
    for ours, theirs in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("trained", [False, True])
def test_codebook_starts_from_data_and_dead_codes_are_revived(trained):
    z = vectors(50)
    layer, rows = quantizer(trained=trained, decay=0.5), {tuple(row) for row in z.reshape(-1, 3)}
    layer(z, training=True)
    assert all(tuple(row) in rows for row in layer.codebook.numpy())
    # Twice the bound, 0.1 of the mean of 100 / 5.
    np.testing.assert_allclose(layer.counts, 4)
    layer.counts.assign(np.full(5, 20.0))
    # A code far away from all data is chosen by nothing: its count halves to 10, 5, 2.5 and, below 0.1 * 20, comes back.
    far = layer.codebook.numpy()
    far[2] = 1e3
    layer.codebook.assign(far)
    layer.sums.assign(far * layer.counts.numpy()[:, None])
    for count in (10, 5, 2.5):
        layer(z, training=True)
        np.testing.assert_allclose(layer.counts[2], count)
        np.testing.assert_allclose(layer.codebook[2], 1e3, rtol=1e-5)
    layer(z, training=True)
    assert tuple(layer.codebook.numpy()[2]) in rows and float(layer.counts[2]) == 4


@pytest.mark.rotating
def test_an_unused_code_that_is_not_revived_stays_where_it_is():
    layer = VectorQuantizer(2, decay=0.5, revive=0.0)
    layer.build((None, 1))
    for weight, value in ((layer.codebook, [[0], [10]]), (layer.counts, [4, 4]), (layer.sums, [[0], [40]])):
        weight.assign(np.array(value, "float32"))
    for _ in range(200):
        layer(np.array([[0.0], [1.0]], "float32"), training=True)
    np.testing.assert_allclose(layer.codebook[1], 10.0, rtol=1e-5)
    np.testing.assert_allclose(layer.codebook[0], 0.5, rtol=1e-5)


def test_the_first_codes_are_different_vectors():
    layer = VectorQuantizer(16)
    layer(np.arange(20, dtype="float32").reshape(-1, 1), training=True)
    assert len(np.unique(layer.codebook)) == 16


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_averages_stay_in_float32_under_mixed_precision(policy):
    layer = VectorQuantizer(4, decay=0.999, dtype=policy)
    z = vectors(50)
    layer(z, training=True)
    before = layer.sums.numpy()
    quantised, codes, loss = layer(z * 1.5, training=True)
    assert quantised.dtype == policy.split("_")[1] and loss.dtype == "float32" and codes.dtype == "int32"
    # Changes of a thousandth, which half precision would round away.
    assert 0 < np.abs(layer.sums.numpy() - before).max() < 0.1 * np.abs(before).max()
    assert layer.codebook.dtype == "float32" and np.any(layer.codebook.numpy() != layer.codebook.numpy().astype("float16"))


def test_a_codebook_finds_clusters():
    """Eight well separated clusters of unequal sizes: each has a code, and so every vector one nearby."""
    generator = np.random.default_rng(0)
    centres = np.array([[x, y] for x in (0, 4) for y in (0, 4, 8, 12)], "float32")
    keras.utils.set_random_seed(0)
    layer = VectorQuantizer(16, decay=0.8)
    layer.build((None, 2))
    update = tf.function(lambda z: layer(z, training=True))
    shares = np.array([4, 3, 2, 1, 1, 1, 2, 2]) / 16
    for _ in range(200):
        chosen = generator.choice(8, 256, p=shares)
        update(tf.constant(centres[chosen] + 0.1 * generator.normal(size=(256, 2)), tf.float32))
    assert np.square(layer.look_up(layer.nearest(centres)) - centres).sum(-1).max() < 0.2**2


def test_perplexity_is_the_number_of_equally_used_codes():
    assert float(perplexity(tf.constant([[0, 1], [2, 3]]), 8)) == pytest.approx(4)
    assert float(perplexity(tf.constant([5, 5, 5]), 8)) == pytest.approx(1)
    shares = np.array([0.5, 0.25, 0.25])
    assert float(perplexity(tf.constant([0, 0, 1, 2]), 8)) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.parametrize("arguments, message", [
    ({"codes": 1}, "at least 2, received 1"), ({"decay": 1.0}, r"in \[0, 1\), received 1.0"),
    ({"commitment": -1.0}, ">= 0, received -1.0"), ({"revive": 1.5}, r"in \[0, 1\), received 1.5")])
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(errors.UserError, match=message):
        VectorQuantizer(**arguments)

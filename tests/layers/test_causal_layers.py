"""Causal layers against definitions written out in NumPy; their incremental forms against the parallel ones."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfgen import layers
from tfgen.errors import UserError


def random_weights(layer, x, seed=0):
    """Builds a layer on x and gives it random weights, which are returned in float64."""
    layer(x)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return [w.astype(float) for w in layer.get_weights()]


def image(*shape):
    return np.random.default_rng(7).normal(size=shape).astype("float32")


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("groups", [1, 3])
def test_rows_above_and_pixels_to_the_left_are_a_masked_convolution(strict, groups):
    """The masks A and B of the PixelRNN paper: within the own pixel, colours see earlier ones (and themselves, mask B)."""
    x = image(2, 5, 6, 3)
    above, left = layers.VerticalConv(6, 1, 1, 1, strict=True, use_bias=False), layers.HorizontalConv(6, 1, strict, groups)
    (rows,), (pixels, bias) = random_weights(above, x), random_weights(left, x, 1)
    kernel = np.zeros((3, 3, 3, 6))
    kernel[:1], kernel[1, :pixels.shape[1]] = rows, pixels[0]
    for i in range(3):
        for o in range(6):
            seen = i % groups < o % groups if strict else i % groups <= o % groups
            kernel[1, 1, i, o] *= seen
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]).astype(float)
    wanted = bias + sum(padded[:, a:a + 5, b:b + 6] @ kernel[a, b] for a in range(3) for b in range(3))
    np.testing.assert_allclose(above(x) + left(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("block", "memory"), [(100, 0), (5, 3), (4, 0), (7, 20)])
def test_attention_is_local_and_causal(block, memory):
    """softmax(q k / sqrt(d)) v over the pixels b - memory ... t, with b the start of the block of t, in float64."""
    x, heads, size = image(2, 3, 4, 6), 2, 3
    layer = layers.CausalSelfAttention(heads, block, memory)
    project, merge = random_weights(layer, x)
    q, k, v = np.moveaxis((x.reshape(2, 12, 6) @ project).reshape(2, 12, 3, heads, size), 2, 0)
    wanted = np.zeros((2, 12, heads, size))
    for t in range(12):
        first = max(0, t - t % block - memory)
        for head in range(heads):
            scores = np.einsum("bd,bnd->bn", q[:, t, head], k[:, first:t + 1, head]) / np.sqrt(size)
            wanted[:, t, head] = np.einsum("bn,bnd->bd", scipy.special.softmax(scores, 1), v[:, first:t + 1, head])
    wanted = (wanted.reshape(2, 12, 6) @ merge).reshape(2, 3, 4, 6)
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-4, atol=1e-5)


def test_row_lstm_by_its_equations():
    x, sigmoid = image(2, 4, 5, 12), scipy.special.expit
    layer = layers.RowLSTM(3)
    (kernel,) = random_weights(layer, x)
    h = c = np.zeros((2, 5, 3))
    for row in range(4):
        padded = np.pad(h, [(0, 0), (1, 1), (0, 0)])
        gates = x[:, row] + sum(padded[:, b:b + 5] @ kernel[0, b] for b in range(3))
        o, f, i, g = np.split(gates, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(layer(x)[:, row], h, rtol=1e-4, atol=1e-5)


def test_upsampling_by_hand():
    x = image(1, 2, 3, 2)
    fine = layers.PixelUpsampling(4)
    kernel, bias = random_weights(fine, x)
    for row in range(4):
        for column in range(6):
            wanted = kernel[row % 2, column % 2] @ x[0, row // 2, column // 2] + bias
            np.testing.assert_allclose(fine(x)[0, row, column], wanted, rtol=1e-4, atol=1e-5)
    rows = layers.VerticalUpsampling(4)
    kernel, bias = random_weights(rows, x)
    for row in range(4):
        for column in range(6):
            wanted = bias + sum(kernel[row % 2, b] @ x[0, row // 2, j] for j in range(3) for b in range(3)
                                if 2 * j + b == column + 1)
            np.testing.assert_allclose(rows(x)[0, row, column], wanted, rtol=1e-4, atol=1e-5)


def test_made_masks_follow_degrees():
    x = image(2, 2, 2, 1)
    into, out = layers.DenseFromImage([[1, 3], [2, 2]]), layers.DenseToImage([[1, 3], [2, 2]], (2, 2, 1))
    kernel, bias = random_weights(into, x)
    for which, mask in enumerate(([[1, 1], [0, 1], [0, 1], [0, 0]], [[1, 1], [1, 1], [0, 0], [0, 0]])):
        wanted = x.reshape(2, 4) @ (kernel * mask) + bias
        np.testing.assert_allclose(into(x, which=which), wanted, rtol=1e-5, atol=1e-6)
    hidden = image(2, 2)
    kernel, bias = random_weights(out, hidden)
    for which, mask in enumerate(([[0, 0], [1, 0], [1, 0], [1, 1]], [[0, 0], [0, 0], [1, 1], [1, 1]])):
        wanted = hidden @ (kernel * mask).T + bias
        np.testing.assert_allclose(np.reshape(out(hidden, which=which), (2, 4)), wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="degrees from 1 to 3, received 1 to 4"):
        layers.DenseFromImage([1, 4])(x)


def test_weights_belong_to_pixels_in_each_order():
    """Under orders of the pixels, a layer is that of raster order with the rows and columns of its kernel rearranged."""
    x, hidden, orders = image(2, 2, 2, 2), image(2, 3), [[2, 0, 3, 1], [0, 1, 2, 3]]
    degrees = [[1, 4, 7], [3, 3, 2]]
    into, out = layers.DenseFromImage(degrees, orders), layers.DenseToImage(degrees, (2, 2, 2), 2, orders)
    direct = layers.CausalDense(2, orders)
    (k_in, b_in), (k_out, b_out), (k, b) = (random_weights(*pair) for pair in ((into, x), (out, hidden), (direct, x)))
    for which, order in enumerate(orders):
        # Values of two colours per pixel, and two parameters of each: channel i of a pixel belongs to colour i mod 2.
        values, units = ([n * pixel + i for pixel in order for i in range(n)] for n in (2, 4))
        of_value, degree = np.repeat(2 * np.arange(4), 4) + np.tile([1, 2], 8), np.array(degrees[which])
        flat, number = x.reshape(2, 8).astype(float), np.arange(1, 9)[:, None]
        wanted = flat @ (k_in[values] * (number <= degree)) + b_in
        np.testing.assert_allclose(into(x, which=which), wanted, rtol=1e-4, atol=1e-5)
        wanted = hidden @ (k_out[units] * (degree < of_value[:, None])).T + b_out[units]
        np.testing.assert_allclose(np.reshape(out(hidden, which=which), (2, 16)), wanted, rtol=1e-4, atol=1e-5)
        wanted = flat @ (k[values][:, units] * (number < of_value)) + b[units]
        np.testing.assert_allclose(np.reshape(direct(x, which=which), (2, 16)), wanted, rtol=1e-4, atol=1e-5)


def test_previous_pixel_and_levels():
    x = np.arange(6, dtype="float32").reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(np.ravel(layers.PixelShift()(x)), [0, 0, 1, 2, 3, 4])
    embedding = layers.LevelEmbedding(3, 2)
    (table,) = random_weights(embedding, np.zeros((1, 1, 1, 2), "float32"))
    np.testing.assert_allclose(embedding(tf.constant([[[[0.5, 1.0]]]]))[0, 0, 0], table[1] + table[3 + 2], rtol=1e-5)

"""Networks of image-to-image translation: shapes at any size, receptive fields, the papers' sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import translation


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


@pytest.mark.parametrize("skips", [0, 1, 2, None])
def test_skip_connections_of_the_smallest_grids_alone(skips):
    """Without those of a grid, what the network makes there sees the image through the smaller grids alone."""
    network = translation.unet((8, 8, 1), (8, 8, 1), 2, None, dropout=0.0, skips=skips)
    joined = [layer for layer in network.layers if isinstance(layer, keras.layers.Concatenate)]
    assert [layer.output.shape[1] for layer in joined] == [2, 4][:skips]


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (17, 30)])
@pytest.mark.parametrize("make", [lambda *shapes: translation.unet(*shapes, 2, dropout=0.0),
                                  lambda *shapes: translation.residual(*shapes, 2, 1)])
def test_generators_keep_any_size_and_change_channels(make, size):
    network = make((*size, 1), (*size, 3))
    x = np.random.default_rng(0).random((2, *size, 1), "float32")
    made = np.asarray(network(x))
    assert made.shape == (2, *size, 3) and made.min() >= 0 and made.max() <= 1
    alone = np.asarray(network(x[:1]))
    np.testing.assert_allclose(alone, made[:1], atol=1e-5)


def test_generators_have_the_papers_number_of_weights():
    """54.4 and 11.4 million: what the papers' networks have at 256x256 with 64 filters."""
    unet = translation.unet((256, 256, 3), (256, 256, 3))
    assert parameters(unet) == pytest.approx(54.4e6, rel=0.002) and len(unet.inputs) == 2
    residual = translation.residual((256, 256, 3), (256, 256, 3))
    assert parameters(residual) == pytest.approx(11.37e6, rel=0.002)
    assert translation.default_blocks((128, 128, 3)) == 6


def test_critic_of_70_pixels_has_the_papers_number_of_weights_and_grid():
    critic = translation.patchgan((256, 256, 3), (256, 256, 3))
    assert critic.output_shape == (None, 30, 30, 1)
    assert parameters(critic) == pytest.approx(2.77e6, rel=0.005)


@pytest.mark.parametrize("depth, field", [(0, 1), (1, 16), (2, 34), (3, 70), (5, 286)])
def test_receptive_field_is_the_papers(depth, field):
    """Counted: how far apart are the pixels that move one score."""
    assert translation.receptive_field(depth) == field
    side = max(field + 2 ** (depth + 1), 8)
    critic = translation.patchgan((side, side, 1), None, 1, depth, norm=None)
    for weight in critic.trainable_variables:
        weight.assign(tf.ones_like(weight))
    x = tf.fill((1, side, side, 1), 0.75)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = critic(x)
        score = scores[0, scores.shape[1] // 2, scores.shape[2] // 2, 0]
    touched = np.argwhere(np.abs(tape.gradient(score, x)[0, :, :, 0]) > 0)
    assert tuple(np.ptp(touched, axis=0) + 1) == (field, field)


@pytest.mark.parametrize("side", [12, 13])
def test_convolutions_of_critics_see_one_pixel_of_padding(side):
    critic = translation.patchgan((side, side, 1), None, 2, 1, norm=None)
    x = np.random.default_rng(0).random((2, side, side, 1), "float32")
    wanted = 2.0 * x - 1.0
    kernels, biases = critic.trainable_variables[::2], critic.trainable_variables[1::2]
    for kernel, bias, stride in zip(kernels, biases, (2, 1, 1), strict=True):
        wanted = tf.nn.conv2d(tf.pad(wanted, [[0, 0], [1, 1], [1, 1], [0, 0]]), kernel, stride, "VALID") + bias
        wanted = tf.nn.leaky_relu(wanted, 0.2) if wanted.shape[-1] > 1 else wanted
    np.testing.assert_allclose(critic(x), wanted, rtol=1e-4, atol=1e-7)


def test_critic_refuses_images_too_small_for_its_depth():
    with pytest.raises(ValueError, match="at least 24 pixels"):
        translation.patchgan((20, 20, 1), depth=3)
    assert [translation.deepest((side, side, 1)) for side in (256, 24, 23, 8, 5)] == [5, 3, 2, 1, 0]
    for side in (5, 8, 23, 24):
        critic = translation.patchgan((side, side, 1), None, 2, translation.deepest((side, side, 1)))
        assert min(critic.output_shape[1:3]) >= 1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="images of one size, received 8x8 -> 16x16"):
        translation.unet((8, 8, 1), (16, 16, 1))


def test_skips_carry_details_past_the_bottleneck():
    """With every weight of the deeper levels zero, the output still depends on its own neighbourhood in the input."""
    keras.utils.set_random_seed(0)
    network = translation.unet((16, 16, 1), (16, 16, 1), 4, norm=None, dropout=0.0)
    deep = [layer for layer in network.layers if layer.weights and layer.output.shape[1] < 8]
    assert deep
    for layer in deep:
        for weight in layer.weights:
            weight.assign(tf.zeros_like(weight))
    x = np.random.default_rng(0).random((1, 16, 16, 1), "float32")
    other = x.copy()
    other[0, 3, 3] = 1.0 - other[0, 3, 3]
    moved = np.abs(np.asarray(network(x)) - np.asarray(network(other)))[0, :, :, 0]
    assert moved.max() > 0 and moved[10:, 10:].max() == 0

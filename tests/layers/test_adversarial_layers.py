"""Layers of generators and critics against their definitions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.losses.penalties import input_gradient
from tfgen.networks import resnet


def test_minibatch_deviation_is_that_of_groups():
    x = np.random.default_rng(0).normal(size=(6, 3, 3, 2)).astype("float32")
    made = layers.MinibatchStdDev(group=4)(x).numpy()
    assert made.shape == (6, 3, 3, 3)
    np.testing.assert_array_equal(made[..., :2], x)
    # Six images: groups of three, of images (0, 2, 4) and (1, 3, 5).
    for start in (0, 1):
        wanted = np.std(x[start::2], axis=0).mean()
        np.testing.assert_allclose(made[start::2, ..., 2], wanted, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_minibatch_deviation_of_equal_images_has_a_gradient(dtype):
    """Black borders: in float16 1e-8 is 0, and the gradient of the root of 0 was NaN."""
    x = tf.zeros((4, 2, 2, 3), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = layers.MinibatchStdDev(dtype=f"mixed_{dtype}")(x)
    gradient = tape.gradient(made, x)
    assert made.dtype == dtype and gradient.dtype == dtype and np.isfinite(tf.cast(gradient, "float32")).all()


def test_zeros_of_a_leaky_rectifier_do_not_go_back_through_the_layers():
    """A penalty's gradient is that of Keras' layer, from fewer convolutions."""
    images, found = np.random.default_rng(0).random((4, 8, 8, 1), np.float32), {}
    for rectifier in (keras.layers.LeakyReLU, layers.LeakyReLU):
        keras.utils.set_random_seed(0)
        critic = keras.Sequential([keras.Input((8, 8, 1))])
        for _ in range(2):
            critic.add(keras.layers.Conv2D(3, 3, strides=2))
            critic.add(rectifier(0.2))
        critic.add(keras.layers.Flatten())
        critic.add(keras.layers.Dense(1))

        @tf.function(autograph=False)
        def gradients(x, critic=critic):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(critic(x)) + tf.reduce_sum(tf.square(input_gradient(critic, x)))
            return tape.gradient(loss, [x, *critic.trainable_variables])

        operations = [node.op for node in gradients.get_concrete_function(tf.constant(images)).graph.as_graph_def().node]
        found[rectifier] = gradients(tf.constant(images)), sum(name.startswith("Conv2D") for name in operations)
    (theirs, many), (ours, few) = found.values()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert few < many and np.abs(ours[0]).max() > 0.01


def test_identical_images_have_no_deviation():
    made = layers.MinibatchStdDev()(np.ones((4, 2, 2, 1), "float32")).numpy()
    assert np.abs(made[..., 1]).max() < 1e-3


def test_clip_and_orthogonality():
    np.testing.assert_allclose(layers.Clip(0.5)(np.array([-2.0, 0.1, 3.0])), [-0.5, 0.1, 0.5])
    with pytest.raises(ValueError, match="positive"):
        layers.Clip(0.0)
    kernel = np.array([[1.0, 2.0], [0.0, 3.0]], "float32")
    # W^T W has 2 off the diagonal, twice.
    assert float(layers.OffDiagonalOrthogonality(0.1)(kernel)) == pytest.approx(0.1 * 8.0)
    assert float(layers.OffDiagonalOrthogonality(0.1)(3.0 * np.eye(3, dtype="float32"))) == 0.0


def test_attention_begins_as_the_identity_and_then_mixes_places():
    image = keras.Input((4, 4, 8))
    model = keras.Model(image, resnet.attention(image))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")
    np.testing.assert_allclose(model(x), x, atol=1e-6)
    gamma = next(w for w in model.weights if w.path.endswith("gamma"))
    gamma.assign(1.0)
    moved = x.copy()
    moved[0, 0, 0] += 1.0
    change = np.abs(model(moved) - model(x)).max(-1)
    assert change[0].min() > 0 and change[1].max() == 0


def test_attention_is_a_softmax_over_places():
    """Against the definition in float64, at gamma 1."""
    image = keras.Input((4, 4, 8))
    model = keras.Model(image, resnet.attention(image))
    x = np.random.default_rng(1).normal(size=(1, 4, 4, 8)).astype("float32")
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.SpectralConv2D)]
    by_width = {}
    for layer in convolutions:
        kernel = np.float64(layer.effective(layer._kernel.value, False))[0, 0]
        by_width.setdefault(kernel.shape, []).append(kernel)
    next(w for w in model.weights if w.path.endswith("gamma")).assign(1.0)
    flat = np.float64(x[0]).reshape(16, 8)

    def pooled(y):
        return y.reshape(2, 2, 2, 2, -1).transpose(0, 2, 1, 3, 4).reshape(2, 2, 4, -1).max(2).reshape(4, -1)

    first, second = by_width[8, 1]
    candidates = []
    for query, key in ((first, second), (second, first)):
        scores = (flat @ query) @ pooled((flat @ key).reshape(4, 4, -1)).T
        weights = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        value = pooled((flat @ by_width[8, 4][0]).reshape(4, 4, -1))
        candidates.append(flat + weights @ value @ by_width[4, 8][0])
    made = np.asarray(model(x)).reshape(16, 8)
    assert min(np.abs(made - c).max() for c in candidates) < 1e-4


@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization(), layers.Dropout(0.5)], ids=["statistics", "noise"])
def test_what_depends_on_the_batch_is_found_in_nested_networks(layer):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), layer])
    outer = keras.Sequential([keras.Input((4,)), inner])
    assert layers.depends_on_batch(outer)
    assert not layers.depends_on_batch(keras.Sequential([keras.Input((4,)), keras.layers.LayerNormalization()]))

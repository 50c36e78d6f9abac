"""Spectral normalisation against the singular value decomposition; equalised kernels against their scale."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers

CASES = [(lambda: layers.SpectralDense(12), (5, 20)), (lambda: layers.SpectralConv2D(8, 3, strides=2), (2, 9, 9, 6)),
         (lambda: layers.SpectralConv2D(1, 4), (2, 6, 6, 3))]


def built(make, shape):
    layer = make()
    x = tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))
    layer(x)
    layer._kernel.assign(np.random.default_rng(1).normal(size=layer._kernel.shape))
    return layer, x


def largest(layer):
    kernel = layer._kernel.numpy()
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.mark.parametrize("make, shape", CASES)
def test_sigma_after_fifty_steps_is_that_of_svd(make, shape):
    layer, x = built(make, shape)
    step = tf.function(lambda: layer(x, training=True))
    for _ in range(50):
        step()
    assert float(layer.sigma) == pytest.approx(largest(layer), rel=0.01)


@pytest.mark.parametrize("make, shape", CASES)
def test_layer_computes_with_the_kernel_over_sigma(make, shape):
    layer, x = built(make, shape)
    for _ in range(100):
        layer(x, training=True)
    plain = keras.layers.Dense if isinstance(layer, keras.layers.Dense) else keras.layers.Conv2D
    config = layer.get_config()
    config.pop("name")
    reference = plain.from_config(config)
    reference.build(x.shape)
    reference._kernel.assign(layer._kernel.numpy() / largest(layer))
    np.testing.assert_allclose(layer(x), reference(x), rtol=1e-2, atol=1e-3)
    # Without training the vector rests.
    before = layer.u.numpy()
    layer(x, training=False)
    np.testing.assert_array_equal(layer.u.numpy(), before)


def test_gradient_passes_through_sigma():
    """d/dW of sum(A * W / sigma) is (A - <A, W/sigma> u v^T) / sigma (Miyato et al., 2018, equation 10, for this loss)."""
    layer, _ = built(*CASES[0])
    for _ in range(200):
        layer.effective(layer._kernel, True)
    a = tf.constant(np.random.default_rng(3).normal(size=layer._kernel.shape).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(a * layer.effective(tf.convert_to_tensor(layer._kernel), False))
    gradient = tape.gradient(loss, layer._kernel.value)
    left, values, right = np.linalg.svd(layer._kernel.numpy())
    outer, sigma = np.outer(left[:, 0], right[0]), values[0]
    share = np.sum(a.numpy() * layer._kernel.numpy()) / sigma
    np.testing.assert_allclose(gradient.numpy(), (a.numpy() - share * outer) / sigma, atol=2e-3)


def test_a_file_holds_the_vector(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.SpectralConv2D(4, 3), layers.WeightNormConv2D(4, 3),
                              layers.ZeroConv2D(2, 1, kernel_initializer="he_normal"), keras.layers.Flatten(),
                              layers.SpectralDense(2), layers.EqualisedDense(3, gain=1.0)])
    for _ in range(3):
        model(np.ones((1, 6, 6, 3), "float32"), training=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert loaded.layers[-1].gain == 1.0


@pytest.mark.parametrize("make, fan_in, shape", [(lambda: layers.EqualisedDense(50), 30, (4, 30)),
                                                 (lambda: layers.EqualisedConv2D(50, 3, gain=1.0), 90, (2, 5, 5, 10))])
def test_equalised_kernel_is_scaled_by_the_fan_in(make, fan_in, shape):
    layer = make()
    layer.build(shape)
    assert np.std(layer._kernel.numpy()) == pytest.approx(1.0, rel=0.1)
    effective = layer.effective(tf.convert_to_tensor(layer._kernel), False)
    np.testing.assert_allclose(effective, layer._kernel.numpy() * layer.gain / np.sqrt(fan_in), rtol=1e-6)


def test_weight_normalised_kernel_has_the_norm_of_its_gain():
    layer = layers.WeightNormConv2D(5, 3, kernel_regularizer=keras.regularizers.L2(0.1))
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32"))
    layer(x)
    layer.gain.assign(np.arange(1.0, 6.0))
    norms = np.sqrt(np.square(layer.effective(tf.convert_to_tensor(layer._kernel), True)).sum((0, 1, 2)))
    np.testing.assert_allclose(norms, np.arange(1.0, 6.0), rtol=1e-5)
    # The gain alone is regularised; a longer kernel changes nothing.
    assert float(sum(layer.losses)) == pytest.approx(0.1 * 55)
    before = layer(x).numpy()
    layer._kernel.assign(3 * layer._kernel)
    np.testing.assert_allclose(layer(x), before, rtol=1e-4, atol=1e-5)


def test_zero_convolution_starts_at_zero_and_learns_its_scale_three_times_as_fast():
    layer = layers.ZeroConv2D(2, 3, padding="same")
    x = tf.ones((1, 4, 4, 3))
    np.testing.assert_array_equal(layer(x), np.zeros((1, 4, 4, 2)))
    layer.bias.assign([1.0, 2.0])
    layer.log_scale.assign([0.5, -0.5])
    np.testing.assert_allclose(layer(x)[0, 0, 0], [np.exp(1.5), 2 * np.exp(-1.5)], rtol=1e-5)

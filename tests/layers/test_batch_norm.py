import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import FusedBatchNorm


@pytest.mark.parametrize("options", [{}, {"scale": False, "momentum": 0.9, "epsilon": 1e-4}, {"center": False},
                                     {"trainable": False}])
def test_fused_batch_norm_trains_and_infers_as_that_of_keras(options):
    x = tf.constant(np.random.default_rng(0).normal(1.0, 3.0, (4, 5, 6, 3)).astype("float32"))
    factors = tf.constant(np.random.default_rng(1).normal(size=x.shape).astype("float32"))
    found = []
    for kind in (FusedBatchNorm, keras.layers.BatchNormalization):
        layer = kind(gamma_initializer=keras.initializers.Constant(2.0), beta_initializer=keras.initializers.Constant(0.5),
                     **options)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(factors * y**2)
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        found.append([y, *gradients, *layer.non_trainable_variables, layer(x, training=False)])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-4)


def test_fused_batch_norm_has_the_gradient_of_a_penalty():
    """As of `tfgen.losses.R1` on a critic with batch normalisation."""
    x = tf.constant(np.random.default_rng(0).normal(1.0, 3.0, (4, 5, 6, 3)).astype("float32"))
    found = []
    for kind in (FusedBatchNorm, keras.layers.BatchNormalization):
        layer = kind(gamma_initializer=keras.initializers.Constant(2.0))
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(layer(x, training=True) ** 3)
            penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
        found.append(outer.gradient(penalty, [x, layer.gamma.value]))
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-3, atol=1e-3 * np.abs(keras_own).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fused_batch_norm_is_the_same_compiled(policy):
    layer, x = FusedBatchNorm(dtype=policy), np.random.default_rng(0).normal(3.0, 2.0, (8, 6, 6, 4)).astype("float32")
    layer.build(x.shape)

    def of_cubes(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(layer(x, training=True), tf.float32) ** 3)
        return tape.gradient(loss, x)

    plain, compiled = (tf.function(of_cubes, jit_compile=jit)(tf.constant(x)).numpy() for jit in (False, True))
    np.testing.assert_allclose(plain, compiled, atol=1e-2 * np.abs(plain).max())


def test_fused_batch_norm_of_other_types_is_that_of_keras():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 2))
    ours, keras_own = FusedBatchNorm(dtype="float64"), keras.layers.BatchNormalization(dtype="float64")
    np.testing.assert_array_equal(ours(x, training=True), keras_own(x, training=True))
    for policy in ("float16", "bfloat16"):
        half, exact = FusedBatchNorm(dtype=policy), FusedBatchNorm()
        assert half(x.astype("float32"), training=True).dtype == policy
        exact(x.astype("float32"), training=True)
        np.testing.assert_allclose(tf.cast(half.moving_mean, tf.float32), exact.moving_mean, atol=1e-3)
    rows = x.reshape(18, 2).astype("float32")
    of_rows = [kind()(rows, training=True) for kind in (FusedBatchNorm, keras.layers.BatchNormalization)]
    np.testing.assert_array_equal(*of_rows)


def test_fused_batch_norm_rounds_once_in_half_precision():
    """Of maps whose mean is large beside their deviation: added up in bfloat16, these would be noise."""
    x = tf.cast(np.random.default_rng(0).normal(8.0, 1.0, (64, 14, 14, 2)), tf.bfloat16)
    layer = FusedBatchNorm(dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
    exact = x.numpy().astype(float)
    deviation, away = np.sqrt(exact.var((0, 1, 2)) + layer.epsilon), exact - exact.mean((0, 1, 2))
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(y.numpy().astype(float), away / deviation, rtol=2**-8, atol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * exact.mean((0, 1, 2)), rtol=1e-4)
    of_y = 3 * (away / deviation) ** 2
    wanted = (of_y - of_y.mean((0, 1, 2)) - away / deviation * (of_y * away / deviation).mean((0, 1, 2))) / deviation
    found = tape.gradient(loss, x).numpy().astype(float)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()

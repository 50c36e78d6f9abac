import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import FusedBatchNorm


@pytest.mark.parametrize("options", [{}, {"scale": False, "momentum": 0.9, "epsilon": 1e-4}, {"center": False}])
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


def test_fused_batch_norm_of_other_types_is_that_of_keras():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 2))
    ours, keras_own = FusedBatchNorm(dtype="float64"), keras.layers.BatchNormalization(dtype="float64")
    np.testing.assert_array_equal(ours(x, training=True), keras_own(x, training=True))
    mixed = FusedBatchNorm(dtype="mixed_bfloat16")(x.astype("float32"), training=True)
    assert mixed.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(mixed, tf.float64), keras_own(x, training=True), atol=0.03)

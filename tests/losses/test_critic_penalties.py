"""Gradient penalties against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.losses import penalties

X = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 4, 4, 1)).astype("float32")
W = np.random.default_rng(2).normal(size=(16, 1)).astype("float32")


def linear(x):
    """A critic whose gradient is W everywhere."""
    return tf.matmul(tf.reshape(x, (-1, 16)), W)


def dense(weight):
    """A linear critic with a variable."""
    return lambda x: tf.matmul(tf.reshape(x, (-1, 16)), weight)


def square(x):
    """A critic |x|^2 / 2 whose gradient at x is x."""
    return 0.5 * tf.reduce_sum(tf.square(x), axis=(1, 2, 3))[:, None]


@pytest.mark.parametrize("penalty, wanted", [
    (penalties.GradientPenalty(10.0), lambda norm: 10.0 * (norm - 1.0) ** 2),
    (penalties.GradientPenalty(2.0, target=0.0), lambda norm: 2.0 * norm**2),
    (penalties.MaxGradientPenalty(0.5), lambda norm: 0.5 * norm**2),
    (penalties.R1(10.0), lambda norm: 5.0 * norm**2),
    (penalties.GradientPenalty(10.0, scale=2.0), lambda norm: 10.0 * (norm / 2 - 1.0) ** 2),
    (penalties.MaxGradientPenalty(0.5, scale=2.0), lambda norm: 0.5 * (norm / 2) ** 2),
    (penalties.R1(10.0, scale=2.0), lambda norm: 5.0 * (norm / 2) ** 2),
])
def test_linear_critic_closed_form(penalty, wanted):
    norm = np.sqrt(np.sum(np.float64(W) ** 2))
    assert float(penalty(linear, tf.constant(X), tf.constant(Y))) == pytest.approx(wanted(norm), rel=1e-5)


@pytest.mark.parametrize("kind", [penalties.GradientPenalty, penalties.MaxGradientPenalty, penalties.R1])
def test_a_scale_is_that_of_the_images(kind):
    """The penalty on a critic of x in [0, 1], at scale 2, is that on the critic of u = 2 x - 1 at scale 1."""
    u, v = tf.constant(X), tf.constant(Y)
    plain, scaled = (kind(3.0, scale=scale, **({} if kind is penalties.R1 else {"seed": 1})) for scale in (1.0, 2.0))
    wanted = plain(square, u, v)
    assert float(scaled(lambda x: square(2.0 * x - 1.0), (u + 1) / 2, (v + 1) / 2)) == pytest.approx(float(wanted), rel=1e-5)
    with pytest.raises(ValueError, match=r"\(scale\) expects a number > 0, received 0"):
        kind(scale=0)


def test_points_lie_between_real_and_made():
    penalty = penalties.GradientPenalty(seed=1)
    between = penalty.between(tf.zeros_like(X), tf.ones_like(X)).numpy()
    shares = between.reshape(6, -1)
    assert np.all(shares == shares[:, :1]) and len(np.unique(shares)) == 6
    assert shares.min() >= 0 and shares.max() <= 1


def test_points_of_each_penalty():
    norms = np.sqrt(np.sum(np.float64(X) ** 2, axis=(1, 2, 3)))
    real = tf.constant(X)
    assert float(penalties.R1(1.0)(square, real, real)) == pytest.approx(0.5 * np.mean(norms**2), rel=1e-5)
    # Between an image and itself there is only the image.
    assert float(penalties.GradientPenalty(1.0)(square, real, real)) == pytest.approx(np.mean((norms - 1) ** 2), rel=1e-5)
    assert float(penalties.MaxGradientPenalty(1.0)(square, real, real)) == pytest.approx(np.max(norms**2), rel=1e-5)


def test_gradient_of_the_penalty_reaches_the_weights():
    """d/dw of (|w| - 1)^2 is 2 (|w| - 1) w / |w|."""
    w = tf.Variable(W)
    with tf.GradientTape() as tape:
        loss = penalties.GradientPenalty(1.0)(dense(w), tf.constant(X), tf.constant(Y))
    norm = np.linalg.norm(W)
    np.testing.assert_allclose(tape.gradient(loss, w).numpy(), 2 * (norm - 1) * W / norm, rtol=1e-4)


def test_a_dead_critic_makes_no_nan():
    dead = tf.Variable(tf.zeros((16, 1)))
    with tf.GradientTape() as tape:
        loss = penalties.GradientPenalty(1.0)(dense(dead), tf.constant(X), tf.constant(Y))
    assert np.all(np.isfinite(tape.gradient(loss, dead).numpy()))


def test_penalties_travel_with_a_file_and_refuse_negative_weights():
    for penalty in (penalties.GradientPenalty(3.0, 0.5), penalties.MaxGradientPenalty(0.2), penalties.R1(4.0, 2.0)):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(penalty))
        assert copy.get_config() == penalty.get_config()
        with pytest.raises(ValueError, match="expects a number >= 0, received -1"):
            type(penalty)(-1)

"""Every bijector: its inverse, its log-determinant against the Jacobian in float64, its statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.distributions import bijectors as b
from tfgen.errors import UserError

IMAGE, VECTOR = (4, 6, 4), (7,)


def convolution(taken, given, context=None):
    """A small network that is not linear: (B, h, w, taken) -> (B, h, w, given)."""
    x = keras.Input((None, None, taken))
    inputs, y = x, x
    if context:
        inputs = [x, keras.Input((None, None, context))]
        y = keras.layers.Concatenate()(inputs)
    y = keras.layers.Conv2D(given, 3, padding="same")(keras.layers.Conv2D(5, 3, padding="same", activation="tanh")(y))
    return keras.Model(inputs, y)


def dense(taken, given):
    x = keras.Input((taken,))
    return keras.Model(x, keras.layers.Dense(given)(keras.layers.Dense(5, "tanh")(x)))


CASES = {
    "chain": (lambda: b.Chain([b.Scaling(), b.Squeeze(), b.InvertibleConv(), b.Flatten(), b.Permutation()]), IMAGE),
    "squeeze": (b.Squeeze, IMAGE), "flatten": (b.Flatten, IMAGE),
    "reverse": (b.Permutation, VECTOR), "even_odd": (lambda: b.Permutation("even_odd"), VECTOR),
    "listed": (lambda: b.Permutation([3, 1, 0, 2]), IMAGE),
    "split": (lambda: b.Split(b.Chain([b.Squeeze(), b.Scaling(), b.Flatten()])), IMAGE),
    "split, learned": (lambda: b.Split(b.Scaling(), convolution(2, 4)), IMAGE),
    "logit": (b.Logit, VECTOR), "sigmoid": (b.Sigmoid, VECTOR), "scaling": (b.Scaling, IMAGE),
    "actnorm": (b.ActNorm, IMAGE), "actnorm of vectors": (b.ActNorm, VECTOR),
    "batch norm": (b.BatchNorm, IMAGE), "batch norm, affine": (lambda: b.BatchNorm(affine=True), VECTOR),
    "invertible conv": (b.InvertibleConv, IMAGE), "invertible matrix": (b.InvertibleConv, VECTOR),
    "additive": (lambda: b.AdditiveCoupling(convolution(2, 2)), IMAGE),
    "additive, checkerboard": (lambda: b.AdditiveCoupling(convolution(5, 4), "checkerboard"), IMAGE),
    "affine": (lambda: b.AffineCoupling(convolution(2, 4)), IMAGE),
    "affine, inverted, odd": (lambda: b.AffineCoupling(dense(3, 8), invert=True), VECTOR),
    "affine, odd": (lambda: b.AffineCoupling(dense(4, 6)), VECTOR),
    "affine, checkerboard": (lambda: b.AffineCoupling(convolution(5, 8), "checkerboard", invert=True), IMAGE),
    "masked autoregressive": (lambda: b.MaskedAutoregressive([9]), VECTOR),
    "masked autoregressive, deep, reversed": (lambda: b.MaskedAutoregressive([4, 20, 6], "tanh", reverse=True), VECTOR),
    "masked autoregressive, bounded": (lambda: b.MaskedAutoregressive([9], bound=0.5), VECTOR),
}
each = pytest.mark.parametrize("name", CASES)


def built(name, dtype="float32", move=0.3):
    """The bijector with every weight moved off its start, and a batch."""
    make, event = CASES[name]
    keras.config.set_dtype_policy(dtype)
    try:
        made = make()
        made.build((None, *event))
    finally:
        keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    for weight in made.trainable_variables:
        weight.assign(weight.numpy() + move * rng.normal(size=weight.shape))
    for weight in (made.mean, made.variance) if isinstance(made, b.BatchNorm) else ():
        weight.assign(rng.uniform(0.5, 2.0, weight.shape))
    return made, rng.uniform(0.02, 0.98, (3, *event)).astype(dtype)


@each
def test_inverse_undoes_forward(name):
    made, x = built(name)
    z, log_det = made.forward_and_log_det(tf.constant(x))
    assert log_det.shape == (3,) and log_det.dtype == z.dtype == tf.float32
    assert z.shape == made.compute_output_shape(x.shape)
    np.testing.assert_allclose(made.inverse(z), x, atol=1e-5)
    np.testing.assert_allclose(made.forward_and_log_det(made.inverse(z))[0], z, atol=1e-4)
    np.testing.assert_array_equal(made(tf.constant(x)), z)


@pytest.mark.rotating
@each
def test_log_det_is_that_of_the_jacobian(name):
    made, x = built(name, "float64")
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = made.forward_and_log_det(x)
        z = tf.reshape(z, (3, -1))
    jacobian = tf.reshape(tape.batch_jacobian(z, x), (3, z.shape[1], -1))
    assert log_det.dtype == tf.float64
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian.numpy())[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(made.inverse(made.forward_and_log_det(x)[0]), x, atol=1e-9)


@each
def test_a_file_holds_it(name, tmp_path):
    made, x = built(name)
    copy = type(made).from_config(made.get_config())
    copy.build((None, *x.shape[1:]))
    copy.set_weights(made.get_weights())
    np.testing.assert_array_equal(copy.forward_and_log_det(tf.constant(x))[0], made.forward_and_log_det(tf.constant(x))[0])


def test_a_row_does_not_depend_on_the_others():
    for name in CASES:
        made, x = built(name)
        whole = made.forward_and_log_det(tf.constant(x))
        alone = made.forward_and_log_det(tf.constant(x[1:2]))
        for all_of_them, one in zip(whole, alone):
            np.testing.assert_allclose(all_of_them[1:2], one, atol=1e-5)


def test_squeeze_takes_rows_of_blocks():
    z = b.Squeeze()(tf.reshape(tf.range(16.0), (1, 4, 4, 1))).numpy()
    assert z[0, 0, 1].tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize("event", [IMAGE, VECTOR])
def test_actnorm_sets_itself_by_the_first_batch_in_the_graph(event):
    norm = b.ActNorm()
    norm.build((None, *event))
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(50, *event)) * rng.uniform(0.1, 5, event[-1:]) + 3).astype("float32")
    step = tf.function(lambda x: norm.forward_and_log_det(x, training=True))
    np.testing.assert_array_equal(norm(x), x)
    z, log_det = (value.numpy() for value in step(x))
    axes = tuple(range(len(event)))
    np.testing.assert_allclose(z.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axes), 1, atol=1e-4)
    places = np.prod(event[:-1])
    np.testing.assert_allclose(log_det, -places * np.log(x.std(axes)).sum(), rtol=1e-4)
    before = norm.get_weights()
    step(5 * x + 1)
    for ours, theirs in zip(before, norm.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(norm(x), z, atol=1e-5)


def test_actnorm_learns_from_the_first_batch_on():
    norm = b.ActNorm()
    norm.build((None, 3))
    x = tf.constant(np.random.default_rng(0).normal(2, 3, (20, 3)).astype("float32"))
    with tf.GradientTape() as tape:
        z, log_det = norm.forward_and_log_det(x, training=True)
        loss = tf.reduce_mean(tf.reduce_sum(tf.square(z), -1) / 2 - log_det)
    by_scale, by_bias = tape.gradient(loss, [norm.log_scale.value, norm.bias.value])
    # d/ds of E[(e^s z)^2] / 2 - s is E[z^2] - 1 = 0 for the standardised batch: it starts at the best affine map.
    np.testing.assert_allclose(by_scale, np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(by_bias, np.zeros(3), atol=1e-4)


def test_batch_norm_uses_the_batch_in_training_and_running_averages_else():
    norm = b.BatchNorm(momentum=0.5)
    norm.build((None, 3))
    x = np.random.default_rng(0).normal(2, 3, (200, 3)).astype("float32")
    z, log_det = norm.forward_and_log_det(tf.constant(x), training=True)
    np.testing.assert_allclose(z, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-4), atol=1e-4)
    np.testing.assert_allclose(log_det, np.full(200, -0.5 * np.log(x.var(0) + 1e-4).sum()), rtol=1e-4)
    np.testing.assert_allclose(norm.mean, 0.5 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.variance, 0.5 + 0.5 * x.var(0), rtol=1e-4)
    np.testing.assert_allclose(norm(x), (x - norm.mean.numpy()) / np.sqrt(norm.variance.numpy() + 1e-4), atol=1e-4)


def test_no_value_of_a_masked_autoregressive_map_sees_itself_or_a_later_one():
    for reverse in (False, True):
        made = b.MaskedAutoregressive([5, 30], "tanh", reverse=reverse)
        made.build((None, 6))
        for weight in made.trainable_variables:
            weight.assign(np.random.default_rng(0).normal(size=weight.shape))
        x = tf.constant(np.random.default_rng(1).normal(size=(1, 6)).astype("float32"))
        with tf.GradientTape() as tape:
            tape.watch(x)
            both = tf.concat(made.mean_and_alpha(x), -1)
        seen = np.abs(tape.batch_jacobian(both, x)[0]).reshape(2, 6, 6) > 0
        wanted = np.tril(np.ones((6, 6), bool), -1)
        np.testing.assert_array_equal(seen[0], wanted.T if reverse else wanted)
        np.testing.assert_array_equal(seen[1], wanted.T if reverse else wanted)


def test_an_invertible_conv_starts_as_a_rotation():
    made = b.InvertibleConv()
    made.build((None, 2, 2, 8))
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 8)).astype("float32")
    z, log_det = made.forward_and_log_det(tf.constant(x))
    np.testing.assert_allclose(np.square(z).sum(-1), np.square(x).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(log_det, 0, atol=1e-5)


def test_two_couplings_move_every_value_of_an_odd_number():
    for mask, event in (("channels", (5,)), ("checkerboard", (3, 5, 1))):
        moved = np.zeros(event, bool)
        for invert in (False, True):
            network = dense(*((2, 3) if invert else (3, 2))) if mask == "channels" else convolution(2, 1)
            made = b.AdditiveCoupling(network, mask, invert)
            made.build((None, *event))
            x = np.ones((1, *event), "float32")
            held = made(x)[0].numpy() == 1
            assert not (moved & ~held).any()
            moved |= ~held
        assert moved.all()


def test_a_conditional_coupling_takes_its_context():
    made = b.Chain([b.AffineCoupling(convolution(5, 8, context=3), "checkerboard"), b.Sigmoid()])
    made.build((None, *IMAGE))
    rng = np.random.default_rng(0)
    x, context = (tf.constant(rng.normal(size=(2, 4, 6, c)).astype("float32")) for c in (4, 3))
    z, _ = made.forward_and_log_det(x, context)
    np.testing.assert_allclose(made.inverse(z, context), x, atol=1e-4)
    assert np.abs(z - made.forward_and_log_det(x, context + 1.0)[0]).max() > 1e-3


@pytest.mark.parametrize("make, event, message", [
    (b.Squeeze, (5, 4, 1), "even sides, received 5x4 pixels"), (b.Squeeze, (4,), r"expects images \(B, H, W, C\)"),
    (lambda: b.Split(b.Scaling()), (4, 4, 3), "an even number of channels, received 3"),
    (lambda: b.Permutation([0, 0]), (2,), "each of 0 ... 1 once"), (lambda: b.Permutation("odd"), (2,), "received odd"),
    (lambda: b.Logit(0.5), (2,), r"a number in \[0, 0.5\), received 0.5"), (lambda: b.Chain([]), (2,), "at least one"),
    (lambda: b.AffineCoupling(dense(1, 1)), (2,), "from 1 to 2 channels, received one from 1 to 1"),
    (lambda: b.AffineCoupling(dense(1, 1), "rows"), (2,), "received 'rows'"),
    (lambda: b.AffineCoupling(dense(1, 1)), (1,), "at least 2 channels"),
    (b.MaskedAutoregressive, (2, 2, 1), r"expects vectors \(B, D\)"),
])
def test_mistakes_are_one_line(make, event, message):
    with pytest.raises(UserError, match=message) as caught:
        make().build((None, *event))
    assert "\n" not in str(caught.value)

"""Replicas on two logical devices: noise, sums and statistics are those of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import two_replicas

from tfgen import layers, replicas
from tfgen.data.streams import Portion
from tfgen.errors import UserError


def on_both(function, *columns):
    """What two replicas compute of halves of arrays, one after the other, as arrays."""
    strategy = two_replicas()
    halves = [tuple(np.split(column, 2)[replica] for column in columns) for replica in range(2)]
    given = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(map(tf.constant, halves[context.replica_id_in_sync_group])))
    made = strategy.run(lambda given: function(*given), args=(given,))
    return [np.asarray(one) for one in strategy.experimental_local_results(made)]


@pytest.mark.parametrize("draw", [
    lambda rows, seed: replicas.normal((rows, 3), seed), lambda rows, seed: replicas.uniform((rows, 2, 2), seed, -1.0, 1.0),
    lambda rows, seed: replicas.normal(tf.stack([rows, 3]), seed),
    lambda rows, seed: replicas.dropout(tf.ones((rows, 5)), 0.5, seed)])
def test_noise_of_a_row_is_that_of_its_place_in_the_whole_batch(draw):
    def seed():
        return keras.random.SeedGenerator(7)

    with two_replicas().scope():
        shared = seed()
    parts = on_both(lambda x: draw(x.shape[0], shared), np.zeros((6, 1), np.float32))
    np.testing.assert_array_equal(np.concatenate(parts), draw(6, seed()))
    assert not np.array_equal(*parts)


def test_sums_means_and_moments_are_of_all_rows():
    x = np.random.default_rng(0).normal(3.0, 2.0, (8, 3)).astype("float32")
    for part in on_both(lambda x: replicas.summed({"a": tf.reduce_sum(x), "b": None})["a"], x):
        np.testing.assert_allclose(part, x.sum(), rtol=1e-6)
    for part in on_both(lambda x: replicas.mean(tf.reduce_mean(x, 0)), x):
        np.testing.assert_allclose(part, x.mean(0), rtol=1e-6)
    for part in on_both(lambda x: tf.stack(replicas.moments(x, [0])), x):
        np.testing.assert_allclose(part, [x.mean(0), x.var(0)], rtol=1e-5)
    np.testing.assert_array_equal(np.concatenate(on_both(lambda x: replicas.places(x.shape[0])[0], x)), np.arange(8))
    np.testing.assert_array_equal(np.concatenate(on_both(
        lambda x: replicas.ours(2.0 * replicas.gathered(x), x.shape[0]), x)), 2.0 * x)


def test_outside_of_a_strategy_everything_is_of_the_batch_itself():
    x = tf.constant([[1.0], [3.0]])
    assert replicas.current() is None
    assert replicas.summed([x, None])[1] is None and replicas.gathered(x) is x and replicas.ours(x, 1) is x
    np.testing.assert_array_equal(tf.stack(replicas.moments(x, [0])), [[2.0], [1.0]])


def test_dropout_is_that_of_keras():
    x = np.ones((4, 50), "float32")
    ours, theirs = (kind(0.5, seed=3)(x, training=True) for kind in (layers.Dropout, keras.layers.Dropout))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(layers.Dropout(0.5)(x), x)
    with pytest.raises(UserError, match=r"Dropout drops each value by itself, received noise_shape=\(None, 1\)"):
        layers.Dropout(0.5, (None, 1))
    same = layers.Dropout.from_config(layers.Dropout(0.5, seed=3).get_config())
    np.testing.assert_array_equal(same(x, training=True), ours)


def test_dropout_leaves_out_the_same_in_half_precision():
    x = np.ones((40, 50), "float32")
    single, half = (layers.Dropout(0.2, seed=3, dtype=dtype)(x, training=True) for dtype in ("float32", "bfloat16"))
    assert half.dtype == "bfloat16"
    np.testing.assert_array_equal(np.asarray(half, "float32") > 0, np.asarray(single) > 0)


def test_each_replica_gets_its_share_of_every_part_of_a_batch():
    # Two updates of 6 rows each, for three replicas: two rows of the first six, two of the last six.
    portion = Portion(3, parts=2)
    rows = [np.asarray(portion.of_batch(tf.constant(element, tf.int64), 12)[1]).tolist() for element in range(3)]
    assert rows == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert int(portion.of_batch(tf.constant(4, tf.int64), 12)[0]) == 1
    # The second of two processes, with two replicas of four.
    assert np.asarray(Portion(4, 2, 2).of_batch(tf.constant(1, tf.int64), 8)[1]).tolist() == [6, 7]


@pytest.mark.parametrize("count, batch, number", [(10, 4, 2), (7, 64, 3), (64, 8, 4), (5, 2, 2), (3, 1, 3)])
def test_a_pass_gives_each_row_once_and_every_replica_as_many_elements(count, batch, number):
    portion = Portion(number)
    steps = portion.steps(count, batch)
    ends = [portion.of_pass(element, count, steps) for element in range(steps * number)]
    assert [row for first, end in ends for row in range(first, end)] == list(range(count))
    sizes = [end - first for first, end in ends]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1 and (max(sizes) <= batch or steps == count // number)


def test_what_replicas_cannot_share_is_refused():
    with pytest.raises(UserError, match="expected a multiple of 6 images per training step for 3 replicas, received 16"):
        Portion(3, parts=2).check(16)
    with pytest.raises(UserError, match="expected at least a row per replica, received 2 for 3 replicas"):
        Portion(3).steps(2, 8)


def test_streams_of_portions_are_the_rows_of_the_whole_stream():
    from tfgen import data
    digits = data.load("digits")
    batches = digits.train(12, seed=4, start=1).take(2)
    for number, whole in enumerate(batches):
        parts = digits.train(12, seed=4, start=1, portion=Portion(2)).skip(2 * number).take(2)
        np.testing.assert_array_equal(np.concatenate([part.numpy() for part in parts]), whole)
    passed = [x.numpy() for x in digits.batches("validation", 64, portion=Portion(2))]
    assert len(passed) == 4
    np.testing.assert_array_equal(np.concatenate(passed), np.concatenate([
        x.numpy() for x in digits.batches("validation", 64)]))

"""Two stages: the augmented condition, its divergence, the frozen sketcher."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import batch, tiny

from tfgen.layers.doubling import double
from tfgen.models import StackGAN
from tfgen.networks import stackgan

VALUES = {"condition_dim": 2, "stage_one_steps": 2}


def step(model):
    """One step's losses."""
    x, y = batch("stackgan")
    return model.train_on_batch(tf.convert_to_tensor(x), tf.convert_to_tensor(y), return_dict=True)


def values(variables):
    return [v.numpy() for v in variables]


def test_condition_is_drawn_from_the_labels_gaussian():
    label, noise = keras.Input((), dtype="int32"), keras.Input((2,))
    network = keras.Model([label, noise], stackgan.augmented(label, 3, noise))
    labels, e = np.array([0, 1, 1]), np.array([[0, 0], [1, -2], [0, 0]], "float32")
    c, stats = (part.numpy() for part in network([labels, e]))
    np.testing.assert_allclose(c, stats[:, :2] + np.exp(stats[:, 2:] / 2) * e, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats[1], stats[2], rtol=1e-6)
    assert np.abs(stats[0] - stats[1]).max() > 1e-4


def test_kl_in_closed_form():
    model = tiny("stackgan", kl_weight=3.0, **VALUES)
    x, y = map(tf.convert_to_tensor, batch("stackgan"))
    made = {"image": x, "condition": np.tile([[1.0, 0.0, 0.0, np.log(4.0)]], (16, 1)).astype("float32")}
    losses = model.generator_losses((x, y), made, training=False)
    # N(1, 1): 1/2; N(0, 4): (4 - 1 - log 4) / 2.
    assert float(losses["kl"]) == pytest.approx(0.5 + 1.5 - np.log(2.0), rel=1e-5)
    plain = model.objective.generator(model.judge(x, y, False)[0])
    assert float(losses["generator_loss"]) == pytest.approx(float(plain) + 3.0 * float(losses["kl"]), rel=1e-5)


def test_stages_follow_each_other_and_the_first_is_then_frozen(tmp_path):
    model = tiny("stackgan", **VALUES)
    model.compile(model.optimizer, model.critic_optimizer, run_eagerly=True)
    sketcher, refiner = model.generators
    first = sketcher.variables + model.critics[0].variables
    second = refiner.variables + model.critics[1].variables
    assert len(sketcher.trainable_variables + refiner.trainable_variables) == len(model.generator_variables)
    before = values(second)
    for _ in range(2):
        assert step(model)["stage"] == 0
        # Without stage II, samples are enlarged sketches.
    for old, now in zip(before, values(second)):
        np.testing.assert_array_equal(old, now)
    model.step.assign(1)
    seeds, labels = tf.range(3, dtype=tf.int64), tf.constant([0, 1, 2], tf.int64)
    image = model.sample(seeds, labels).numpy()
    np.testing.assert_allclose(image, double(image[:, ::2, ::2], (8, 8)), atol=1e-6)
    model.step.assign(2)
    image, before, old = model.sample(seeds, labels).numpy(), values(first), values(second)
    assert np.abs(image - double(image[:, ::2, ::2], (8, 8))).max() > 1e-4
    assert step(model)["stage"] == 1
    for kept, now in zip(before, values(first)):
        np.testing.assert_array_equal(kept, now)
    assert any(np.any(was != now) for was, now in zip(old, values(second)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.step) == 3
    np.testing.assert_array_equal(loaded.sample(seeds, labels), model.sample(seeds, labels))
    assert np.abs(loaded.sample(seeds, labels[::-1]) - loaded.sample(seeds, labels))[[0, 2]].max() > 1e-5


def test_wrong_labels_are_wrong_and_even():
    model = tiny("stackgan", **VALUES)
    label = tf.constant([0, 1, 2] * 400)
    wrong = model.wrong(label, None, training=True).numpy()
    assert not np.any(wrong == label) and set(wrong) == {0, 1, 2}
    assert np.mean(wrong[::3] == 1) == pytest.approx(0.5, abs=0.1)
    x, label = batch("stackgan")
    other = model.wrong(label, tf.constant(x), training=False)
    np.testing.assert_array_equal(other[::-1], model.wrong(label[::-1], tf.constant(x[::-1]), training=False))


@pytest.mark.parametrize("shape", [(28, 28, 1), (15, 21, 3)])
def test_any_size(shape):
    generator, critic = stackgan.generator(shape, 3, 4, 2, 2), stackgan.critic(shape, 4, 2)
    labels = tf.constant([0, 3])
    small, image, *_ = generator([tf.zeros((2, 7)), labels])
    assert image.shape == (2, *shape) and small.shape == (2, -(-shape[0] // 2), -(-shape[1] // 2), shape[2])
    assert [s.shape for s in critic([small, image, labels])] == [(2, 1), (2, 1)]


def test_mismatches_are_named():
    generator = stackgan.generator((8, 8, 1), 3, 4, 2, 2)
    with pytest.raises(ValueError, match=r"makes images of \[\(4, 4, 1\), \(8, 8, 1\)\], the critic takes \[\(8, 8, 1\)"):
        StackGAN(generator, stackgan.critic((16, 16, 1), 4, 2), 4)
    with pytest.raises(ValueError, match="stage_one_steps expects at least 1, received 0"):
        StackGAN(generator, stackgan.critic((8, 8, 1), 4, 2), 4, stage_one_steps=0)

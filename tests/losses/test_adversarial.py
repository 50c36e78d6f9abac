"""Objectives of the two players against hand-worked values."""

import keras
import numpy as np
import pytest
from keras import ops

from tfgen import losses

REAL, FAKE = np.array([[2.0], [-1.0]], "float32"), np.array([[0.5], [-3.0]], "float32")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.float64(x)))


def test_logistic_objectives_are_the_logarithms_of_the_paper():
    critic = -np.mean(np.log(sigmoid(REAL))) - np.mean(np.log(1 - sigmoid(FAKE)))
    for objective in (losses.Minimax(), losses.NonSaturating()):
        assert float(objective.critic(REAL, FAKE)) == pytest.approx(critic, rel=1e-6)
        assert float(objective.reading(REAL)) == pytest.approx(sigmoid(REAL).mean(), rel=1e-6)
    assert float(losses.Minimax().generator(FAKE)) == pytest.approx(np.mean(np.log(1 - sigmoid(FAKE))), rel=1e-6)
    assert float(losses.NonSaturating().generator(FAKE)) == pytest.approx(-np.mean(np.log(sigmoid(FAKE))), rel=1e-6)


def test_saturating_gradient_vanishes_where_the_critic_is_sure():
    import tensorflow as tf

    score = tf.constant([[-12.0]])
    gradients = {}
    for objective in (losses.Minimax(), losses.NonSaturating()):
        with tf.GradientTape() as tape:
            tape.watch(score)
            loss = objective.generator(score)
        gradients[type(objective)] = float(tape.gradient(loss, score)[0, 0])
    assert gradients[losses.Minimax] == pytest.approx(-sigmoid(-12.0), rel=1e-3)
    assert gradients[losses.NonSaturating] == pytest.approx(-1.0, rel=1e-3)


def test_label_smoothing_is_one_sided():
    smoothed = losses.NonSaturating(0.1)
    wanted = (-np.mean(0.9 * np.log(sigmoid(REAL)) + 0.1 * np.log(1 - sigmoid(REAL)))
              - np.mean(np.log(1 - sigmoid(FAKE))))
    assert float(smoothed.critic(REAL, FAKE)) == pytest.approx(wanted, rel=1e-6)
    assert float(smoothed.generator(FAKE)) == pytest.approx(float(losses.NonSaturating().generator(FAKE)))


@pytest.mark.parametrize("objective, critic, generator", [
    (losses.LeastSquares(), 0.5 * (1 + 4) / 2 + 0.5 * (0.25 + 9) / 2, 0.5 * (0.25 + 16) / 2),
    (losses.Wasserstein(), -1.25 - 0.5, 1.25),
    (losses.Wasserstein(drift=0.1), -1.25 - 0.5 + 0.1 * 2.5, 1.25),
    (losses.Hinge(), (0 + 2) / 2 + (1.5 + 0) / 2, 1.25),
    (losses.Lipschitz(), np.mean(np.log1p(np.exp([0.5, -3.0]))) + np.mean(np.log1p(np.exp([-2.0, 1.0]))), 1.25),
    (losses.Energy(), 0.5 + 1.25, -1.25),
    (losses.EnergyMargin(1.0), 0.5 + (0.5 + 4.0) / 2, -1.25),
])
def test_hand_worked_values(objective, critic, generator):
    assert float(objective.critic(REAL, FAKE)) == pytest.approx(critic, rel=1e-6)
    assert float(objective.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


def test_optimal_critic_gives_the_jensen_shannon_divergence():
    """At D = p / (p + q) the critic's loss is 2 log 2 - 2 JS(p, q); here p and q are on three points."""
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    logits = np.log(p / q)
    rows_p, rows_q = np.repeat(logits, [2, 1, 1]), np.repeat(logits, [1, 1, 2])
    middle = (p + q) / 2
    divergence = 0.5 * np.sum(p * np.log(p / middle)) + 0.5 * np.sum(q * np.log(q / middle))
    loss = losses.NonSaturating().critic(ops.convert_to_tensor(rows_p, "float32"), ops.convert_to_tensor(rows_q, "float32"))
    assert float(loss) == pytest.approx(2 * np.log(2) - 2 * divergence, rel=1e-6)


def test_pull_away_is_the_mean_squared_cosine_of_pairs():
    codes = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]], "float32")
    # cosines: 1/sqrt 2, 0, 1/sqrt 2; each pair counts twice among the six.
    assert float(losses.pull_away(ops.convert_to_tensor(codes))) == pytest.approx((0.5 + 0.0 + 0.5) / 3, rel=1e-5)


@pytest.mark.parametrize("make", [lambda: losses.NonSaturating(0.5), lambda: losses.Minimax(-0.1),
                                  lambda: losses.EnergyMargin(0.0)])
def test_out_of_range_is_refused(make):
    with pytest.raises(ValueError, match="expects"):
        make()


@pytest.mark.parametrize("objective", [losses.Minimax(0.1), losses.Wasserstein(0.01), losses.EnergyMargin(2.0)])
def test_objectives_travel_with_a_file(objective):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    assert type(copy) is type(objective) and vars(copy) == vars(objective)

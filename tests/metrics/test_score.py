import math

import numpy as np
import pytest

from tfgen.metrics import ClassifierScore, Modes, classifier_score, modes


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


def test_score_of_sure_and_balanced_rows_is_the_number_of_classes_and_of_equal_rows_is_one():
    assert classifier_score(np.tile(np.eye(7), (3, 1))) == pytest.approx(7.0)
    assert classifier_score(np.tile([[0.2, 0.5, 0.3]], (10, 1))) == pytest.approx(1.0)
    assert classifier_score(np.eye(4)[[2, 2, 2]]) == pytest.approx(1.0)


def test_score_is_hand_worked_and_streams():
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    marginal = p.mean(axis=0)
    expected = math.exp(np.mean(np.sum(p * np.log(p / marginal), axis=1)))
    stream = ClassifierScore()
    for row in p:
        stream.update(row[None])
    assert stream.result() == pytest.approx(expected) == pytest.approx(classifier_score(p))
    assert stream.n == 3


def test_modes_counts_classes_with_their_share():
    # 100 rows of 4 classes: 90, 8, 2, 0; a tenth of an even share is 2.5 rows.
    rows = np.eye(4)[[0] * 90 + [1] * 8 + [2] * 2]
    shares = np.array([0.9, 0.08, 0.02])
    assert modes(rows) == {"modes": 2, "modes_entropy": pytest.approx(-np.sum(shares * np.log(shares)))}
    assert modes(rows, share=0.02)["modes"] == 3
    stream = Modes()
    stream.update(rows[:50])
    stream.update(rows[50:])
    assert stream.result() == modes(rows) and stream.counts.tolist() == [90, 8, 2, 0]


def test_what_is_no_probability_is_refused():
    for bad in ([[0.5, 0.4]], [[1.5, -0.5]]):
        with pytest.raises(ValueError, match="softmax"):
            classifier_score(np.array(bad))
    with pytest.raises(ValueError, match="finite"):
        modes(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="at least 1 row"):
        ClassifierScore().result()
    with pytest.raises(ValueError, match="at least 1 row"):
        Modes().result()
    with pytest.raises(ValueError, match="share"):
        Modes(share=0.0)

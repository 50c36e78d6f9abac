import numpy as np
import pytest

from tfgen.metrics import density_coverage, manifold, precision_recall


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


def brute(real, fake, k):
    def distances(x, y):
        return np.linalg.norm(x[:, None] - y[None], axis=-1)

    def radii(x):
        return np.sort(distances(x, x), axis=1)[:, k]  # Column 0 is the row itself.

    across = distances(fake, real)
    inside = across < radii(real)
    return {"precision": np.mean(np.any(across <= radii(real), axis=1)),
            "recall": np.mean(np.any(across.T <= radii(fake), axis=1)),
            "density": inside.sum() / (k * len(fake)), "coverage": np.mean(inside.any(axis=0))}


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_agree_with_brute_force(k, offset, monkeypatch):
    monkeypatch.setattr(manifold, "_BLOCK", 16)
    rng = np.random.default_rng(k)
    real, fake = rng.normal(offset, 1.0, size=(61, 3)), rng.normal(offset + 0.7, 0.6, size=(45, 3))
    values = precision_recall(real, fake, k) | density_coverage(real, fake, k)
    expected = brute(real, fake, k)
    assert values.keys() == expected.keys() and 0 < expected["recall"] < 1 and 0 < expected["coverage"] < 1
    for key, value in values.items():
        np.testing.assert_allclose(value, expected[key], atol=1e-9, err_msg=key)


def test_hand_worked_on_a_line():
    # Radii with k = 1: real 1, 1, 2; fake 0.5, 0.5, 7.
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [0.0], [7.5]])
    # 0.5 and 0 lie in real balls, 7.5 does not; 0 and 1 lie in fake balls, and 3 in that of 7.5.
    assert precision_recall(real, fake, k=1) == pytest.approx({"precision": 2 / 3, "recall": 1.0})
    # 0.5 lies in the open balls of 0 and 1, 0 in that of 0; no fake row lies in that of 3, (1, 5).
    assert density_coverage(real, fake, k=1) == pytest.approx({"density": 3 / 3, "coverage": 2 / 3})


def test_same_rows_are_all_inside_and_far_rows_are_not():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    assert precision_recall(rows, rows) == {"precision": 1.0, "recall": 1.0}
    assert density_coverage(rows, rows)["coverage"] == 1.0
    assert precision_recall(rows, rows + 100) == {"precision": 0.0, "recall": 0.0}
    assert density_coverage(rows, rows + 100) == {"density": 0.0, "coverage": 0.0}


@pytest.mark.parametrize("metric", [precision_recall, density_coverage])
def test_bad_features_are_refused(metric):
    rows = np.zeros((4, 2))
    with pytest.raises(ValueError, match="at least 5 rows of each side, received 4 real and 9 fake"):
        metric(rows, np.zeros((9, 2)), k=4)
    with pytest.raises(ValueError, match=r"fake features expect shape \(B, 2\), received \(4, 3\)"):
        metric(rows, np.zeros((4, 3)), k=1)
    with pytest.raises(ValueError, match="finite"):
        metric(rows, np.full((4, 2), np.nan), k=1)
    with pytest.raises(ValueError, match="k expects"):
        metric(rows, rows, k=0)

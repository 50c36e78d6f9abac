import numpy as np
import pytest

from tfgen.metrics import similarity


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


def images(shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def ssim_by_loops(x, y, size):
    """Wang et al., 2004, equation 13 over every whole window of two planes (H, W), in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    axis = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(axis[:, None]**2 + axis**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i in range(x.shape[0] - size + 1):
        for j in range(x.shape[1] - size + 1):
            a, b = x[i:i + size, j:j + size], y[i:i + size, j:j + size]
            m, n = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - m)**2).sum(), (weights * (b - n)**2).sum()
            covariance = (weights * (a - m) * (b - n)).sum()
            values.append((2 * m * n + 1e-4) * (2 * covariance + 9e-4) / ((m**2 + n**2 + 1e-4) * (var_a + var_b + 9e-4)))
    return np.mean(values)


def test_equal_images():
    x = images((3, 13, 12, 3))
    assert similarity(x, x) == {"l1": 0.0, "psnr_db": pytest.approx(100.0), "ssim": pytest.approx(1.0, abs=1e-5)}


def test_constant_offsets_by_hand():
    # Offsets 0.1 and 0.01: MSE 1e-2 and 1e-4, so 20 and 40 dB; SSIM of planes 0.5 and 0.6 is its luminance alone.
    made = np.full((2, 11, 11, 1), 0.5)
    wanted = made + np.array([0.1, 0.01])[:, None, None, None]
    found = similarity(made, wanted)
    assert found["l1"] == pytest.approx(0.055) and found["psnr_db"] == pytest.approx(30.0)
    luminance = [(2 * 0.5 * b + 1e-4) / (0.25 + b * b + 1e-4) for b in (0.6, 0.51)]
    assert found["ssim"] == pytest.approx(np.mean(luminance), abs=2e-4)  # float32 variances of flat planes


@pytest.mark.parametrize("shape, size", [((14, 12), 11), ((11, 11), 11), ((8, 9), 7), ((5, 20), 5), ((1, 3), 1)])
def test_ssim_is_that_of_the_paper(shape, size):
    x, noise = images((1, *shape, 2)), images((1, *shape, 2), 1)
    y = 0.8 * x + 0.2 * noise
    expected = np.mean([ssim_by_loops(x[0, ..., c], y[0, ..., c], size) for c in range(2)])
    assert similarity(y, x)["ssim"] == pytest.approx(expected, abs=2e-5)


def test_batches_do_not_matter():
    x, y = images((7, 12, 12, 1)), images((7, 12, 12, 1), 1)
    assert similarity(x, y, batch_size=3) == pytest.approx(similarity(x, y), rel=1e-6)


@pytest.mark.parametrize("made, wanted, match", [
    (images((2, 8, 8, 1)), images((3, 8, 8, 1)), "one shape"), (images((8, 8)), images((8, 8)), "N, H, W, C"),
    (images((0, 8, 8, 1)), images((0, 8, 8, 1)), "N >= 1"), (images((1, 8, 8, 1)) + 1, images((1, 8, 8, 1)), "made"),
    (images((1, 8, 8, 1)), np.full((1, 8, 8, 1), np.nan), "wanted"),
    (images((1, 8, 8, 1)), np.ones((1, 8, 8, 1), np.uint8), "uint8")])
def test_what_is_refused(made, wanted, match):
    with pytest.raises(ValueError, match=match):
        similarity(made, wanted)

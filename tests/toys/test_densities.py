import numpy as np
import pytest

from tfgen.toys import densities, problems

ALL = {"moons": densities.Moons(), "rings": densities.Rings(), "checkerboard": densities.Checkerboard(),
       "ring of modes": problems.ring(sigma=0.1)}


@pytest.mark.parametrize("name", ALL)
def test_density_is_that_of_the_points(name):
    density = ALL[name]
    points = density.draw(40_000, 1)
    side = 48
    cells = np.linspace(-density.reach, density.reach, side + 1)
    counts, _, _ = np.histogram2d(*points.astype(float).T, bins=(cells, cells))
    # The mass of a cell by a midpoint rule of 5 x 5 points.
    fine = density.reach * ((2 * np.arange(5 * side) + 1) / (5 * side) - 1)
    at = np.stack(np.meshgrid(fine, fine, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(density.log_prob(at)).reshape(side, 5, side, 5).sum((1, 3)) * (2 * density.reach / (5 * side)) ** 2
    assert mass.sum() == pytest.approx(1.0, abs=5e-3) and counts.sum() == len(points)
    expected = len(points) * mass
    crowded = expected > 20
    z = (counts - expected)[crowded] / np.sqrt(expected[crowded])
    assert np.square(z).mean() == pytest.approx(1.0, abs=0.35) and counts[expected < 1e-3].sum() < 10
    entropy = density.entropy(400)
    spread = density.log_prob(points).std() / np.sqrt(len(points))
    assert -density.log_prob(points).mean() == pytest.approx(entropy, abs=4 * spread + 5e-3)


def test_entropy_of_the_checkerboard_is_log_8():
    assert ALL["checkerboard"].entropy(400) == pytest.approx(np.log(8))


@pytest.mark.parametrize("name, value", [("moons", 1.0075846), ("rings", 2.3945300)])
def test_entropies_are_those_of_other_quadratures(name, value):
    """By averages of Gaussians over 3,000 and 4,000 angles, and Gauss-Legendre rules in the plane and along the radius."""
    assert ALL[name].entropy() == pytest.approx(value, abs=1e-5)


@pytest.mark.rotating
def test_batches_of_a_stream_are_the_points_of_draw():
    for density in ALL.values():
        batches = [part.numpy() for part in density.stream(10, 2, chunk=4).take(6)]
        np.testing.assert_allclose(np.concatenate(batches), density.draw(60, 2), atol=1e-6)

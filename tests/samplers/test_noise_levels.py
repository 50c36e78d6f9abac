"""Levels of noise: ends, closed forms, and the ways of samplers."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import UserError
from tfgen.samplers.noise_levels import CosineBetas, KarrasLevels, LinearBetas, StraightLevels


def way(levels, steps, start=0.0):
    """The levels of one row from the first to 0."""
    level = levels.way(tf.constant([steps]), start)
    return np.array([float(level(index)[0]) for index in range(steps + 2)])


def test_karras_levels():
    levels, rho = KarrasLevels(0.002, 80.0, 7.0, -1.2, 1.2), 7.0
    i = np.arange(18)
    wanted = (80 ** (1 / rho) + i / 17 * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho  # equation 5
    np.testing.assert_allclose(way(levels, 18), [*wanted, 0, 0], rtol=1e-4)
    u = (np.arange(20000) + 0.5) / 20000
    logs = np.log(levels.drawn(u).numpy())
    assert logs.mean() == pytest.approx(-1.2, abs=1e-3) and logs.std() == pytest.approx(1.2, abs=1e-3)


@pytest.mark.rotating
def test_discrete_levels_are_those_of_the_chain():
    linear = LinearBetas(1000)
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    np.testing.assert_allclose(linear.levels, np.sqrt(1 / kept - 1))
    assert kept[-1] == pytest.approx(4.04e-5, rel=0.01)  # all but noise at the end
    np.testing.assert_allclose(way(linear, 1000)[:-2], linear.levels[::-1], rtol=1e-5)
    cosine = CosineBetas(500)
    t = np.arange(1, 500) / 500
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(1 / (1 + cosine.levels[:-1] ** 2), f, rtol=1e-9)
    assert cosine.betas[-1] == 0.999
    # Fewer steps visit levels that training draws.
    assert all(np.abs(np.log(linear.levels) - np.log(level)).min() < 1e-5 for level in way(linear, 700)[:700])
    for levels in (linear, cosine):
        drawn = levels.drawn((np.arange(levels.count) + 0.5) / levels.count).numpy()
        np.testing.assert_allclose(drawn, levels.levels, rtol=1e-6)  # each once


def test_straight_levels_have_equal_steps_in_time():
    levels = StraightLevels(1e-3)
    sigma = way(levels, 10)[:-1]
    np.testing.assert_allclose(sigma / (1 + sigma), np.r_[0.999 - 0.998 * np.arange(10) / 10, 0], atol=1e-6)
    drawn = levels.drawn(np.array([0.2, 0.4])).numpy()
    np.testing.assert_allclose(np.diff(drawn / (1 + drawn)), 0.1996, rtol=1e-4)


@pytest.mark.parametrize("levels", [KarrasLevels(), LinearBetas(), CosineBetas(), StraightLevels()])
def test_ways_fall_to_0_and_rows_have_steps_of_their_own(levels):
    together = levels.way(tf.constant([1, 5, 9]))
    rows = np.array([together(index).numpy() for index in range(10)]).T
    for steps, row in zip((1, 5, 9), rows):
        np.testing.assert_allclose(row, np.r_[way(levels, steps)[:-1], np.zeros(9 - steps)], rtol=1e-6)
        assert np.all(np.diff(row[:steps + 1]) < 0) and row[0] == pytest.approx(float(levels.sigma(0.0)))
    part = way(levels, 9, 0.5)
    assert part[0] == pytest.approx(float(levels.sigma(0.5)), rel=1e-5) and np.all(np.diff(part[:-1]) < 0)


def test_levels_refuse_what_is_none():
    for kind, values in ((KarrasLevels, (2.0, 1.0)), (LinearBetas, (20,)), (CosineBetas, (1,)), (StraightLevels, (0.5,))):
        with pytest.raises(UserError, match="expects .*, received"):
            kind(*values)

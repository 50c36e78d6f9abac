"""Seeds of any size."""

import keras
import numpy as np
import pytest

from tfgen import runs, seeds
from tfgen.errors import UserError


def test_small_seeds_stay_and_large_ones_are_told_apart():
    assert [seeds.folded(seed) for seed in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]
    large = {seeds.folded(seed) for seed in range(2**32, 2**32 + 1000)} | {seeds.folded(2**63 - 1)}
    assert len(large) == 1001 and min(large) >= 0 and max(large) < 2**32


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "3", None])
def test_another_seed_is_refused(seed, tmp_path):
    with pytest.raises(UserError, match="a seed expects a whole number"):
        seeds.folded(seed)
    with pytest.raises(UserError, match="a seed expects a whole number"):
        runs.train("vae", "digits", tmp_path / "run", seed=seed)
    assert not list(tmp_path.iterdir())


def test_the_random_state_is_that_of_keras():
    seeds.set_random(5)
    ours = np.random.rand()
    keras.utils.set_random_seed(5)
    assert np.random.rand() == ours
    seeds.set_random(10**12)


def test_seeds_of_samples():
    np.testing.assert_array_equal(seeds.of_samples(3, 4), (3 << 32) + np.arange(4))
    large = seeds.of_samples(99999999999, 4)
    assert large.dtype == np.int64 and (large >= 0).all() and len(set(large)) == 4

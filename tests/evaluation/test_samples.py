"""Samples of a model against the images of a split."""


import numpy as np
import pytest
from helpers import Pixels

from tfgen import data
from tfgen.errors import UserError
from tfgen.evaluation.samples import of_samples


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_of_samples_takes_a_permutation_of_the_split_and_refuses_bad_samples(digits):
    fine = np.random.default_rng(0).random((20, 8, 8, 1))
    values = of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=20, batch_size=6)
    assert values["n_real"] == values["n_fake"] == 20
    with pytest.raises(UserError, match="finite pixels, received NaN or infinity among images 6 to 11"):
        of_samples(lambda seeds: np.where(seeds[0] < 6, fine[seeds], np.nan), digits, Pixels(), n=20, batch_size=6)
    with pytest.raises(UserError, match=r"shape \(6, 8, 8, 1\), as the data set's images, received \(6, 4, 4, 1\)"):
        of_samples(lambda seeds: fine[seeds][:, ::2, ::2], digits, Pixels(), n=20, batch_size=6)
    with pytest.raises(UserError, match="n expects an int in 6"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=5)
    with pytest.raises(UserError, match="seed expects"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), n=20, seed=-1)
    with pytest.raises(UserError, match="split"):
        of_samples(lambda seeds: fine[seeds], digits, Pixels(), split="nowhere")

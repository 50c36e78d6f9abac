"""A rotating part of `make torture`: another recipe each day is killed and resumed; and what the comparison finds."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from cases import tiny_values

from tfgen import catalogue, data, runs

ROOT = pathlib.Path(__file__).parents[1]
NAMES = [row["name"] for row in catalogue.rows()]


def test_the_recipe_of_the_day_ends_where_it_would_have():
    name = NAMES[int(os.environ["TFGEN_TEST_DAY"]) % len(NAMES)]
    ended = subprocess.run([sys.executable, "-m", "benchmarks.torture", "--recipes", name], cwd=ROOT, text=True,
                           capture_output=True, check=False)
    assert ended.returncode == 0 and "equal" in ended.stdout, ended.stdout + ended.stderr[-2000:]


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        runs.train("autoencoder", data.load("digits"), out / str(seed), 1, tiny_values("autoencoder"), batch_size=512,
                   seed=seed, verbose=0)
    return out / "0", out / "1"


@pytest.mark.rotating
def test_differences_are_found(two_seeds):
    from benchmarks import torture

    one, other = two_seeds
    found = torture.differences(one, other)
    assert "history.csv" in found and "metrics.json" in found and "reconstructions/epoch-0001.png" in found
    assert any("kernel" in name or "vars" in name for name in found)
    assert torture.differences(one, one) == []
    weights = torture.arrays(runs.checkpoints.newest(one)[0])
    assert any(name.startswith("tfgen_variables.npz") for name in weights) and all(
        isinstance(value, (np.ndarray, np.generic)) for value in weights.values())

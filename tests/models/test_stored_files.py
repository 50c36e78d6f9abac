"""Models and runs that earlier versions wrote still open: `tests/stored/` holds small ones from before modules moved."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from tfgen import runs
from tfgen.serving import export, opening
from tfgen.verbs.live import Live

STORED = pathlib.Path(__file__).parents[1] / "stored"
NAMES = sorted(path.stem for path in STORED.glob("*.keras"))


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_model_computes_what_it_did(name):
    live = Live(keras.models.load_model(STORED / f"{name}.keras"))
    wanted = np.load(STORED / f"{name}.npz")
    assert set(wanted.files) == set(live.names) and len(wanted.files) > 1
    for verb in wanted.files:
        first, *options = export.example_inputs(live.model, verb, 2).items()
        np.testing.assert_allclose(live(verb, first[1], **dict(options)), wanted[verb], rtol=1e-4, atol=1e-5)


def test_a_stored_run_goes_on(tmp_path):
    run = shutil.copytree(STORED / "run", tmp_path / "run")
    assert opening.open_verbs(run)("sample", np.arange(2)).shape == (2, 8, 8, 1)
    model = runs.resume(run, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    rows = (run / "history.csv").read_text("utf-8").splitlines()
    assert len(rows) == 3 and rows[1] == (STORED / "run" / "history.csv").read_text("utf-8").splitlines()[1]

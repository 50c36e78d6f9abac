"""Exact resume: what a checkpoint holds, which one is taken, and what refuses to go on."""

import shutil
import zipfile

import keras
import numpy as np
import pytest
from cases import tiny_values
from helpers import one_line

from tfgen import data, layers, recipes, runs
from tfgen.errors import UserError
from tfgen.runs import checkpoints
from tfgen.runs.training import state

EVERY_SECOND = runs.regime.Regime(checkpoint_steps=2)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


class Killed(Exception):
    pass


@pytest.fixture
def stop_at(monkeypatch):
    """Function of steps: trainings of this test end after these, as if they were killed there."""
    real = runs.callbacks.Checkpoint.on_train_batch_end

    def stop(*steps):
        left = sorted(steps)

        def end(self, batch, logs=None):
            real(self, batch, logs)
            if left and int(self.model.optimizer.iterations) >= left[0]:
                left.pop(0)
                raise Killed
        monkeypatch.setattr(runs.callbacks.Checkpoint, "on_train_batch_end", end)

    return stop


def train(digits, out, recipe="vae", values=None, **about):
    return runs.train(recipe, digits, out, 3, tiny_values(recipe) | (values or {}), batch_size=256, verbose=0,
                      steps_per_execution=1, picture_every=2, **about)


def shown(out):
    """{name: bytes} of the files of a run that are no models."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*")
            if path.is_file() and path.suffix != ".keras" and path.name != "run.json"}


@pytest.mark.parametrize("recipe, values", [("denoising", {}), ("wgan_gp", {}), ("sngan", {"augmentation": "ada"})])
def test_a_resumed_run_ends_where_the_unbroken_one_does(digits, tmp_path, stop_at, recipe, values):
    """Noise of layers (corruption) and of parts that are none (the penalty), a control (of ADA); killed in the middle of
    an epoch, and of the next, with a checkpoint every second step; 1,797 - 500 images are 5 steps of 256, or fewer."""
    whole = train(digits, tmp_path / "whole", recipe, values)
    assert len(checkpoints.unsaved(whole)) > len(whole.metrics_variables)
    total = int(whole.optimizer.iterations)
    stop_at(total // 2, total - 1)
    for go in (lambda: train(digits, tmp_path / "killed", recipe, values, regime=EVERY_SECOND),
               lambda: runs.resume(tmp_path / "killed", verbose=0)):
        keras.utils.set_random_seed(99)
        with pytest.raises(Killed):
            go()
    resumed = runs.resume(tmp_path / "killed", verbose=0)
    for one, other in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)
    assert shown(tmp_path / "whole") == shown(tmp_path / "killed")


def test_generators_of_parts_that_are_no_layers():
    model = recipes.find("wgan_gp").model(data.load("digits").spec, **tiny_values("wgan_gp"))
    assert [state is model.penalties[0].seed_generator.state for state in checkpoints.generators(model)].count(True) == 1
    assert not checkpoints.generators(layers.MinibatchStdDev())


@pytest.fixture(scope="module")
def run_of_three(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    train(digits, out, "autoencoder")
    return out


@pytest.fixture
def run(run_of_three, tmp_path):
    return shutil.copytree(run_of_three, tmp_path / "run")


def test_the_last_ones_and_the_best_are_kept(run):
    history = runs.read_history(run)
    assert [checkpoints.step_of(path) for path in checkpoints.all_of(run)] == [10, 15]
    best = min(history, key=lambda row: row["val_mse"])["epoch"]
    model = runs.load_model(run / "checkpoints" / checkpoints.BEST)
    assert int(model.optimizer.iterations) == 5 * best
    names = sorted(path.name[:15] for path in (run / "checkpoints").iterdir())
    assert names == ["best.keras", "step-000000010-", "step-000000015-"]


@pytest.mark.parametrize("harm", ["truncated", "a bit"])
def test_a_damaged_checkpoint_is_passed_over(run, capsys, harm):
    older, newer = checkpoints.all_of(run)
    content = bytearray(newer.read_bytes())
    if harm == "truncated":
        content = content[:len(content) // 2]
    else:
        content[len(content) // 3] ^= 4
    newer.write_bytes(content)
    assert checkpoints.newest(run) == (older, 10)
    assert f"{newer} is damaged" in capsys.readouterr().err
    # What is trained anew from there takes its place.
    runs.resume(run, verbose=0)
    assert [checkpoints.step_of(path) for path in checkpoints.all_of(run)] == [10, 15] and not newer.exists()
    newer = checkpoints.all_of(run)[1]
    newer.write_bytes(content)
    older.write_bytes(b"")
    assert checkpoints.newest(run) == (None, 0)


def test_a_checkpoint_of_an_earlier_version_still_goes_on(run, capsys):
    """Without a checksum in its name and without the states of random generators."""
    path = checkpoints.all_of(run)[0]
    old = run / "checkpoints" / "step-000000010.keras"
    with zipfile.ZipFile(path) as had, zipfile.ZipFile(old, "w") as has:
        for name in had.namelist():
            if not name.startswith("tfgen_"):
                has.writestr(name, had.read(name))
    for each in checkpoints.all_of(run):
        if each != old:
            each.unlink()
    (run / "model.keras").unlink()
    assert int(runs.resume(run, verbose=0).optimizer.iterations) == 15
    assert "without the states of random generators" in capsys.readouterr().err


def test_what_has_changed_is_said_and_refused(run, capsys):
    settings = runs.read(run)

    def edit(**changes):
        runs.folder.files.write_json(run / "run.json", settings | changes)

    edit(seed=5, hyperparameters=settings["hyperparameters"] | {"learning_rate": 0.5})
    one_line(["checkpoint was trained with, found learning_rate 0.001 -> 0.5, seed 0 -> 5,", "--force"], runs.resume, run)
    edit(recipe="vae")
    one_line(["recipe autoencoder -> vae"], runs.resume, run)
    edit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.folder, "library_versions", lambda: settings["versions"] | {"keras": "9.9", "python": "3.99"})
        one_line([f"keras {settings['versions']['keras']} -> 9.9, with"], runs.resume, run)
        runs.resume(run, verbose=0, force=True)
        assert "-> 9.9" in capsys.readouterr().err


def test_a_checkpoint_of_other_variables_is_refused(run):
    model = recipes.find("denoising").model(data.load("digits").spec, **tiny_values("denoising"))
    with pytest.raises(UserError, match="expected a checkpoint with .* variables besides the weights, .* has"):
        checkpoints.restore(model, checkpoints.newest(run)[0])


def test_a_training_is_not_saved_at_an_epochs_last_step_before_its_end(digits, tmp_path, stop_at):
    """Killed there, the epoch has no row in the history yet, and must be made again from where it was."""
    stop_at(10)
    with pytest.raises(Killed):
        train(digits, tmp_path / "run", "autoencoder", regime=EVERY_SECOND)
    assert checkpoints.newest(tmp_path / "run")[1] == 9 and len(runs.read_history(tmp_path / "run")) == 1
    runs.resume(tmp_path / "run", verbose=0)
    assert [row["epoch"] for row in runs.read_history(tmp_path / "run")] == [1, 2, 3]

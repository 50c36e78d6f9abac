"""Exact resume: what a checkpoint holds, which one is taken, and what refuses to go on."""

import io
import os
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
from tfgen.runs.checkpoints import state

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
                      **{"steps_per_execution": 1, "picture_every": 2} | about)


def shown(out):
    """{name: bytes} of the files of a run that are no models."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*")
            if path.is_file() and path.suffix != ".keras" and path.name != "run.json"}


def assert_equal_states(one, other):
    for ours, theirs in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


@pytest.mark.parametrize("recipe, values", [
    ("denoising", {}), pytest.param("wgan_gp", {}, marks=pytest.mark.rotating),
    pytest.param("sngan", {"augmentation": "ada"}, marks=pytest.mark.rotating)])
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
    assert_equal_states(whole, resumed)
    assert shown(tmp_path / "whole") == shown(tmp_path / "killed")


def test_generators_of_parts_that_are_no_layers():
    model = recipes.find("wgan_gp").model(data.load("digits").spec, **tiny_values("wgan_gp"))
    assert checkpoints.generators(model)["penalties/0/seed_generator"] is model.penalties[0].seed_generator.state
    assert len(checkpoints.generators(model)) == 2
    assert not checkpoints.generators(layers.MinibatchStdDev())


# In one process, so that the run is trained once.
shares_a_run = pytest.mark.xdist_group("run_of_three")


@pytest.fixture(scope="module")
def run_of_three(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    train(digits, out, "autoencoder")
    return out


@pytest.fixture
def run(run_of_three, tmp_path):
    return shutil.copytree(run_of_three, tmp_path / "run")


@shares_a_run
def test_the_last_ones_and_the_best_are_kept(run):
    history = runs.read_history(run)
    assert [checkpoints.step_of(path) for path in checkpoints.all_of(run)] == [10, 15]
    best = min(history, key=lambda row: row["val_mse"])["epoch"]
    model = runs.load_model(run / "checkpoints" / checkpoints.BEST)
    assert int(model.optimizer.iterations) == 5 * best
    names = sorted(path.name[:15] for path in (run / "checkpoints").iterdir())
    assert names == ["best.keras", "step-000000010-", "step-000000015-"]


def test_harm_to_a_file_without_a_checksum_is_told(tmp_path):
    """Any bit of what it holds, any shorter length; harm elsewhere is told or does nothing, and never an error."""
    path, content = tmp_path / checkpoints.BEST, bytes(range(256))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights", content)
    whole = path.read_bytes()
    assert checkpoints.intact(path)
    begins = whole.index(content)
    for place in range(8 * len(whole)):
        harmed = bytearray(whole)
        harmed[place // 8] ^= 1 << place % 8
        path.write_bytes(harmed)
        assert not checkpoints.intact(path) or not begins <= place // 8 < begins + len(content)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not checkpoints.intact(path)


def test_an_old_checkpoint_goes_after_the_name_of_a_new_one_is_on_the_disk(tmp_path, monkeypatch):
    paths, done = [tmp_path / f"step-00000000{step}-x.keras" for step in (1, 2, 3)], []
    for path in paths:
        path.write_bytes(b"")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(sorted(p.name for p in tmp_path.iterdir())), fsync(handle)))
    checkpoints.keep(tmp_path, paths[2], 1)
    assert done == [[path.name for path in paths]] and list(tmp_path.iterdir()) == paths[2:]


@shares_a_run
@pytest.mark.rotating
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


@shares_a_run
def test_a_checkpoint_of_an_earlier_version_still_goes_on(run, capsys, unmeasured):
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


@shares_a_run
@pytest.mark.rotating
def test_what_has_changed_is_said_and_refused(run, capsys):
    settings = runs.read(run)

    def edit(**changes):
        runs.folder.files.write_json(run / "run.json", settings | changes)

    edit(seed=5, hyperparameters=settings["hyperparameters"] | {"learning_rate": 0.5})
    one_line(["checkpoint was trained with, found learning_rate 0.001 -> 0.5, seed 0 -> 5,", "--force"], runs.resume, run)
    edit(regime=settings["regime"] | {"clip_norm": 1.0, "keep_checkpoints": 5})
    one_line(["found clip_norm None -> 1.0, with"], runs.resume, run)
    edit(recipe="vae")
    one_line(["recipe autoencoder -> vae"], runs.resume, run)
    edit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.folder, "library_versions", lambda: settings["versions"] | {"keras": "9.9", "python": "3.99"})
        one_line([f"keras {settings['versions']['keras']} -> 9.9, with"], runs.resume, run)
        runs.resume(run, verbose=0, force=True)
        assert "-> 9.9" in capsys.readouterr().err


def test_other_kernels_are_a_change_unless_the_checkpoint_is_of_before(digits):
    """oneDNN's round otherwise."""
    now = runs.folder.determined({})
    kernels = now["TF_ENABLE_ONEDNN_OPTS"]
    other = str(1 - int(kernels))
    for kept, found in ((now, []), ({"versions": now["versions"]}, []),
                        (now | {"TF_ENABLE_ONEDNN_OPTS": other}, [f"TF_ENABLE_ONEDNN_OPTS {other} -> {kernels}"])):
        assert runs.folder.changes(kept, {}, digits) == found


def renamed(path, to, names):
    """A copy of a checkpoint, its variables renamed by a function of (name, place)."""
    with zipfile.ZipFile(path) as had, zipfile.ZipFile(to, "w") as has, np.load(
            io.BytesIO(had.read(checkpoints.VARIABLES))) as arrays:
        made = io.BytesIO()
        np.savez(made, **{names(name, place): arrays[name] for place, name in enumerate(arrays.files)})
        for name in had.namelist():
            has.writestr(name, made.getvalue() if name == checkpoints.VARIABLES else had.read(name))
    return to


@shares_a_run
def test_a_checkpoint_of_other_variables_is_refused(run):
    path = checkpoints.newest(run)[0]
    model = recipes.find("denoising").model(data.load("digits").spec, **tiny_values("denoising"))
    with pytest.raises(UserError, match=r"expected a checkpoint with .* variables besides the weights, .* has .*, or others "
                                        r"\(0-loss/total for 0-gaussian_corruption\)"):
        checkpoints.restore(model, path)
    # Of equal number and shapes.
    model = runs.load_model(path)
    other = renamed(path, run / "other.keras", lambda name, _: name.replace("mse", "mae"))
    with pytest.raises(UserError, match=r"others \(\d+-mae/total for \d+-mse/total\)"):
        checkpoints.restore(model, other)


@shares_a_run
def test_a_checkpoint_without_names_is_read_by_the_order_of_its_variables(run):
    path = checkpoints.newest(run)[0]
    model, fresh = (runs.load_model(path) for _ in range(2))
    checkpoints.restore(model, path)
    checkpoints.restore(fresh, renamed(path, run / "other.keras", lambda _, place: f"arr_{place}"))
    assert_equal_states(model, fresh)
    assert any(variable.numpy().any() for variable in checkpoints.unsaved(fresh).values())


@shares_a_run
def test_killed_between_the_last_checkpoint_and_the_end(digits, tmp_path, run_of_three, monkeypatch):
    """The pictures of the last epoch, which no number of epochs between pictures divides, and what measures follow."""
    with monkeypatch.context() as patch:
        patch.setattr(runs.callbacks.StopOnInterrupt, "on_epoch_end", lambda self, epoch, logs=None: killed_at(2, epoch))
        with pytest.raises(Killed):
            train(digits, tmp_path / "run", "autoencoder")
    assert checkpoints.newest(tmp_path / "run")[1] == 15 and not (tmp_path / "run/reconstructions/epoch-0003.png").exists()
    runs.resume(tmp_path / "run", verbose=0)
    assert shown(tmp_path / "run") == shown(run_of_three)


def killed_at(epoch, now):
    if now == epoch:
        raise Killed


@pytest.mark.rotating
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_the_best_epoch_is_saved(digits, tmp_path, monkeypatch, after):
    """Before or after its checkpoint has its name: the best one is of the best epoch, the second, at the end."""
    replace = os.replace

    def die(old, new):
        dies = "step-000000010" in str(new)
        if not dies or after:
            replace(old, new)
        if dies:
            raise Killed

    monkeypatch.setattr(runs.callbacks.StopOnNaN, "on_epoch_end",
                        lambda self, epoch, logs=None: logs.update(val_mse=(3.0, 1.0, 2.0)[epoch]))
    best = runs.regime.Regime(keep="best")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(Killed):
            train(digits, tmp_path / "run", "autoencoder", regime=best)
    assert checkpoints.newest(tmp_path / "run")[1] == (10 if after else 5)
    resumed = runs.resume(tmp_path / "run", verbose=0)
    second = runs.load_model(tmp_path / "run" / "checkpoints" / checkpoints.BEST)
    assert int(resumed.optimizer.iterations) == int(second.optimizer.iterations) == 10
    for ours, theirs in zip(resumed.weights, second.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@shares_a_run
def test_a_training_that_goes_on_leaves_no_older_model(run, unmeasured):
    """Of an ended or interrupted training, which would be taken for the run's although its checkpoints are newer."""
    (run / "model.keras").write_bytes(b"old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.callbacks.StopOnInterrupt, "on_epoch_end", lambda self, epoch, logs=None: killed_at(3, epoch))
        with pytest.raises(Killed):
            runs.resume(run, epochs=5, verbose=0)
    assert int(runs.open_run(run)[0].optimizer.iterations) == 20


def test_values_that_come_later_have_a_column(tmp_path):
    history = runs.callbacks.History(tmp_path, draw_every=9)
    history.on_epoch_end(0, {"loss": 1.5})
    history.on_epoch_end(1, {"loss": 0.1, "val_frechet_distance": 3.0})
    assert [list(row.values()) for row in runs.read_history(tmp_path)][1] == [2, 0.1, 3.0]


@pytest.mark.rotating
@pytest.mark.parametrize("at_once, every, saved", [(1, 2, 9), (16, 2, 9), (5, 5, 5)])
def test_a_training_is_not_saved_at_an_epochs_last_step_before_its_end(digits, tmp_path, stop_at, at_once, every, saved):
    """Killed there, the epoch has no row in the history yet, and must be made again from where it was. No execution has more
    steps than there are between checkpoints."""
    stop_at(10)
    with pytest.raises(Killed):
        train(digits, tmp_path / "run", "autoencoder", regime=runs.regime.Regime(checkpoint_steps=every),
              steps_per_execution=at_once)
    assert checkpoints.newest(tmp_path / "run")[1] == saved and len(runs.read_history(tmp_path / "run")) == 1
    runs.resume(tmp_path / "run", verbose=0)
    assert [row["epoch"] for row in runs.read_history(tmp_path / "run")] == [1, 2, 3]

"""Searches: killed ones go on, workers are started again, failures and reports, the grid."""

import json
import pathlib
import signal
import subprocess
import sys
import threading
import time
import types

import keras_tuner
import numpy as np
import pytest
from helpers import one_line

from tfgen import data, files
from tfgen.errors import Failure
from tfgen.pictures import parallel
from tfgen.runs import tuning
from tfgen.runs.tuning import oracles, report, searching, workers

VALUES = {"units": 8, "latent_dim": 3}
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture
def no_best_run(monkeypatch):
    monkeypatch.setattr(searching, "_train_best", lambda *_: None)


def until(condition, seconds=120.0):
    """Waits for a condition; files that are not there yet do not meet it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("nothing happened")


def search(digits, out, trials=3, **options):
    return tuning.search("autoencoder", digits, out, trials, epochs=1, steps=2, batch_size=128, values=VALUES, verbose=0,
                         **options)


def trials_of(out):
    """{id: (score, hyperparameters)} of an ended search."""
    return {row["id"]: (row["score"], row["hyperparameters"]) for row in files.read_json(out / "search.json")["trials"]}


def stat(out, trial_id):
    return (out / "trials" / f"trial_{trial_id}" / "training.json").stat().st_mtime_ns


@pytest.fixture(scope="module")
def unbroken(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "search"
    search(digits, out)
    return out


@pytest.mark.rotating
def test_what_a_search_leaves(unbroken):
    found = files.read_json(unbroken / "search.json")
    scores = [row["score"] for row in found["trials"]]
    assert len(scores) == 3 and scores == sorted(scores) and found["objective"] == ["val_mse", "min"]
    assert sorted(path.name for path in (unbroken / "pictures").iterdir()) == ["0.png", "1.png", "2.png"]
    assert (unbroken / "parallel.png").exists() and (unbroken / "best" / "model.keras").exists()
    text = (unbroken / "report.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert [row[3] for row in rows] == [row["id"] for row in found["trials"]] and "failed" not in text
    assert f"tfgen export {unbroken / 'best'}" in text
    # The best run's hyperparameters are those of the first line, besides those that were given.
    assert {**found["trials"][0]["hyperparameters"], **VALUES}.items() <= found["best"].items()
    (first,) = [row["hyperparameters"] for row in found["trials"] if row["id"] == "0"]
    assert first == {name: value["default"] for name, value in found["space"].items() if name not in VALUES}


@pytest.mark.rotating
def test_a_killed_search_goes_on(digits, tmp_path, unbroken, tfgen):
    out = tmp_path / "search"
    command = ["tune", "autoencoder", "--trials", 3, "--epochs", 1, "--steps", 2, "--batch-size", 128, "--quiet",
               "--out", out, *(part for name, value in VALUES.items() for part in ("--set", f"{name}={value}"))]
    with subprocess.Popen([sys.executable, "-m", "tfgen.cli", *map(str, command)], cwd=ROOT) as process:
        until(lambda: '"RUNNING"' in (out / "trials" / "trial_1" / "trial.json").read_text())
        process.kill()
    before = stat(out, 0)
    assert not (out / "trials" / "trial_1" / "training.json").exists()
    code, _, err = tfgen("tune", "--resume", out, "--quiet")
    assert code == 0, err
    assert stat(out, 0) == before
    # Trials are what they would have been; another process optimises its graphs otherwise.
    whole, resumed = trials_of(unbroken), trials_of(out)
    for trial_id, (score, values) in whole.items():
        np.testing.assert_allclose(resumed[trial_id][0], score, rtol=1e-4)
        assert resumed[trial_id][1] == values
    code, _, err = tfgen("tune", "--resume", out)
    assert code == 2 and "expected a search that has not ended" in err and err.count("\n") == 1


@pytest.mark.rotating
def test_a_killed_worker_loses_no_trial(digits, tmp_path, unbroken, monkeypatch, capsys, no_best_run):
    out, real, started = tmp_path / "search", workers.started, {}

    def start(chief, folder, name, count):
        process = real(chief, folder, name, count)
        started.setdefault(name, []).append(process)
        return process

    def kill():
        state = out / "trials" / "oracle.json"
        until(lambda: json.loads(state.read_text())["ongoing_trials"])
        name, killed["trial"] = next(iter(json.loads(state.read_text())["ongoing_trials"].items()))
        started[name][0].send_signal(signal.SIGKILL)
        killed["name"] = name

    killed = {}
    monkeypatch.setattr(workers, "started", start)
    killer = threading.Thread(target=kill)
    killer.start()
    search(digits, out, workers=2)
    killer.join()
    times = {name: len(processes) for name, processes in started.items()}
    assert times == {"worker-0": 1, "worker-1": 1} | {killed["name"]: 2}
    assert f"{killed['name']} ended with exit code -9: started again" in capsys.readouterr().err
    assert all(process.poll() is not None for processes in started.values() for process in processes)
    # Which hyperparameters are drawn does not depend on who asks.
    whole, made = trials_of(unbroken), trials_of(out)
    assert killed["trial"] in made
    assert {trial_id: values for trial_id, (_, values) in made.items()} == {i: values for i, (_, values) in whole.items()}
    for trial_id, (score, _) in whole.items():
        np.testing.assert_allclose(made[trial_id][0], score, rtol=1e-4)


@pytest.mark.rotating
def test_a_failed_trial_is_reported_and_the_others_go_on(tmp_path, monkeypatch, tfgen, no_best_run):
    real, calls = tuning.Trials.fit, []

    def fit(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("first line\nthe second trial breaks")
        return real(self, *arguments, **options)

    monkeypatch.setattr(tuning.Trials, "fit", fit)
    code, out, err = tfgen("tune", "autoencoder", "--trials", 3, "--tuner", "grid", "--epochs", 1, "--steps", 1, "--set",
                           "units=8", "--set", "learning_rate=1e-3", "--quiet", "--out", "search")
    assert code == 1
    assert "1 of 3 trials failed, the first (1: latent_dim=1) with: the second trial breaks" in err
    assert "best of the others is in search/best" in err
    # Said when it happens, and at the end.
    assert err.startswith("trial 1 failed: the second trial breaks\n") and err.count("\n") == 2
    found = json.loads(pathlib.Path("search/search.json").read_text())
    # The default first, then the grid's values in turn.
    assert {row["id"]: row["hyperparameters"]["latent_dim"] for row in found["trials"]} == {"0": 32, "1": 1, "2": 2}
    assert found["trials"][-1]["id"] == "1" and found["trials"][-1]["score"] is None
    text = pathlib.Path("search/report.md").read_text()
    assert "- 1 (latent_dim=1): the second trial breaks" in text and "| failed |" in text


def test_without_a_good_trial_there_is_a_report(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning.Trials, "fit", lambda *_, **__: 1 / 0)
    with pytest.raises(Failure, match="4 of 4 trials failed.*ZeroDivisionError: division by zero; there is no best run"):
        search(digits, tmp_path, trials=4)
    assert (tmp_path / "report.md").read_text().count("ZeroDivisionError") == 4 and not (tmp_path / "best").exists()


def test_a_full_disk_stops_a_search(digits, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tuning.Trials, "fit", full)
    with pytest.raises(OSError, match="tfgen tune --resume"):
        search(digits, tmp_path)


class Crashed(Exception):
    pass


class Crash:
    """Writes JSON until the `at`-th time, then the process is dead, before or after that file."""

    def __init__(self, at, after):
        self.left, self.after = at, after

    def __call__(self, path, value):
        self.left -= 1
        if self.left != 0 or self.after:
            pathlib.Path(path).write_text(json.dumps(value))
        if self.left == 0:
            raise Crashed


def space(hp):
    hp.Int("width", 1, 3, default=2)
    hp.Choice("kind", ["a", "b"])
    hp.Fixed("steps", 7)
    return hp


def asked(tuner, folder, ran):
    """Trains pretended trials of an oracle, new or read from its files; `ran` gets (id, values) of each."""
    oracle = oracles.oracle(tuner, keras_tuner.Objective("loss", "min"), 6, 4, 0)
    oracle._set_project_dir(str(folder), "trials")
    oracle.verbose = 0
    if (folder / "trials" / "oracle.json").exists():
        oracle.reload()
    else:
        oracle.update_space(space(keras_tuner.HyperParameters()))
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        values = trial.hyperparameters.values
        # As recipes do, whose number of steps may differ between trials.
        values["steps"] = 7 + values["width"]
        ran.append((trial.trial_id, dict(values)))
        oracle.update_trial(trial.trial_id, {"loss": values["width"] + (values["kind"] == "a")})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return {trial_id: trial.score for trial_id, trial in oracle.trials.items()}


@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian", "hyperband"])
def test_a_crash_at_any_file_repeats_no_ended_trial(tmp_path, monkeypatch, tuner):
    """A trial writes five files; each is tried before and after it is written."""
    whole = []
    scores = asked(tuner, tmp_path / "whole", whole)
    assert len(whole) == len(scores) == 6
    if tuner == "grid":
        assert {(values["width"], values["kind"]) for _, values in whole} == {(w, k) for w in (1, 2, 3) for k in "ab"}
    writes, at = None, 0
    while writes is None:
        at += 1
        folder, ran, crash = tmp_path / str(at), [], Crash(at, after=at % 2)
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_json", crash)
            try:
                asked(tuner, folder, ran)
                writes = at
            except Crashed:
                pass
        ended = [path.parent.name.removeprefix("trial_") for path in (folder / "trials").glob("trial_*/trial.json")
                 if '"COMPLETED"' in path.read_text()]
        before = len(ran)
        assert asked(tuner, folder, ran) == scores
        assert not {trial_id for trial_id, _ in ran[before:]} & set(ended)
        assert dict(ran) == dict(whole)
    assert writes > 3 * len(whole)


@pytest.mark.rotating
def test_what_cannot_be_gone_on_with(digits, tmp_path, unbroken, tfgen):
    one_line(["without search.json"], searching.resume, tmp_path)
    settings = files.read_json(unbroken / "search.json")
    del settings["finished"]
    kernels = settings["TF_ENABLE_ONEDNN_OPTS"]
    other = {"TF_ENABLE_ONEDNN_OPTS": str(1 - int(kernels))}
    for change, told in (({"content": "other"}, "images or labels other ->"),
                         (other, f"TF_ENABLE_ONEDNN_OPTS {1 - int(kernels)} -> {kernels}"),
                         ({"versions": settings["versions"] | {"keras": "1.0"}}, "keras 1.0 ->"),
                         ({"space": settings["space"] | {"depth": {}}}, "hyperparameter depth {} -> None")):
        files.write_json(tmp_path / "search.json", settings | change)
        one_line([told, "--force"], searching.resume, tmp_path)
    assert not (tmp_path / "trials").exists()
    for arguments, told in ((["--resume", tmp_path, "--trials", 10, "--set", "a=1"], "leave --trials, --set out"),
                            (["--resume", tmp_path, "--resize", "crop"], "leave --resize out"),
                            (["vae", "--resume", tmp_path], "one of them"), (["--join", tmp_path], "KERASTUNER_ORACLE_IP"),
                            (["vae", "--workers", 0], "--listen"), (["vae", "--force"], "--force expects --resume")):
        code, _, err = tfgen("tune", *arguments)
        assert code == 2 and told in err and err.count("\n") == 1, err


def test_what_was_gone_on_with_by_force_is_what_workers_find(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "_search", lambda *_: None)
    search(digits, tmp_path)
    settings = files.read_json(tmp_path / "search.json")
    files.write_json(tmp_path / "search.json", settings | {"content": "other", "versions": settings["versions"] | {
        "keras": "1.0"}, "space": settings["space"] | {"depth": {}}, "TF_ENABLE_ONEDNN_OPTS": "other"})
    searching.resume(tmp_path, workers=2, force=True)
    searching.reopened(tmp_path, found := searching.read(tmp_path), force=False)
    assert found["TF_ENABLE_ONEDNN_OPTS"] == settings["TF_ENABLE_ONEDNN_OPTS"]
    # Searches of before do not say.
    searching.reopened(tmp_path, {key: value for key, value in found.items() if key != "TF_ENABLE_ONEDNN_OPTS"}, force=False)


@pytest.mark.parametrize("force", [False, True])
def test_the_best_run_goes_on_by_force_as_its_search_does(tmp_path, monkeypatch, force):
    found = []
    monkeypatch.setattr(searching.checkpoints, "all_of", lambda folder: [folder])
    monkeypatch.setattr(searching.resuming, "resume", lambda out, **about: found.append(about["force"]))
    searching._train_best(tmp_path, {}, None, {}, 0, force)
    assert found == [force]


def ending(code):
    return lambda *_: subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({code})"])


def test_a_worker_that_dies_again_and_again(tmp_path, monkeypatch):
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "worker-0.log").write_text("first\nerror: no such data\n\n")
    for code, restarts in ((1, workers.RESTARTS), (2, 0)):
        monkeypatch.setattr(workers, "started", ending(code))
        told = rf"worker-0 ended with 'error: no such data' \(exit code {code}, {restarts} restarts"
        with pytest.raises(Failure, match=told):
            workers.supervise(None, tmp_path, 1)


def test_no_worker_outlives_its_supervisor(tmp_path, monkeypatch):
    processes = []

    def start(*_):
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return processes[-1]

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "started", start)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(workers, "time", types.SimpleNamespace(sleep=interrupt))
        workers.supervise(None, tmp_path, 2)
    assert [process.poll() for process in processes] == [-signal.SIGTERM] * 2


def test_addresses(tmp_path):
    oracle = oracles.oracle("random", keras_tuner.Objective("loss", "min"), 1, 1, 0)
    for listen in ("127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999"):
        one_line(["HOST:PORT"], workers.Chief, oracle, listen)
    one_line(["192.0.2.1:9", "free"], workers.Chief, oracle, "192.0.2.1:9")
    with workers.Chief(oracle) as chief:
        told = workers.instructions(chief, tmp_path)
        assert f"KERASTUNER_ORACLE_PORT={chief.port} KERASTUNER_TUNER_ID=NAME tfgen tune --join {tmp_path}" in told
        assert chief.port > 0


def test_axes_of_a_picture():
    places, ticks = parallel.scaled([1e-4, 1e-2, None, 1e-3], logarithmic=True)
    np.testing.assert_allclose(places, [0.0, 1.0, np.nan, 0.5])
    assert [label for _, label in ticks] == ["0.0001", "0.001", "0.01"]
    assert parallel.scaled([4, 2, 3]) == ([1.0, 0.0, 0.5], [(0.0, "2"), (0.5, "3"), (1.0, "4")])
    assert parallel.scaled([5.0, 5.0]) == ([0.5, 0.5], [(0.5, "5")])
    assert parallel.scaled(["b", True, "b"]) == ([0.75, 0.25, 0.75], [(0.25, "True"), (0.75, "b")])


def test_parallel_coordinates_are_coloured_by_the_objective(tmp_path):
    one_line(["one value per trial"], parallel.parallel, tmp_path / "x.png", {"a": [1]}, [1.0, 2.0], "loss")
    parallel.parallel(tmp_path / "x.png", {"a": [1, 2], "b": [None, "x"]}, [1.0, 2.0], "loss", higher=False)
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_rows_are_sorted_by_the_objective(tmp_path):
    oracle = oracles.oracle("random", keras_tuner.Objective("elbo", "max"), 3, 1, 0)
    oracle._set_project_dir(str(tmp_path), "trials")
    for trial_id, score in (("0", -3.0), ("1", None), ("2", -1.0)):
        trial = keras_tuner.engine.trial.Trial(keras_tuner.HyperParameters(), trial_id, "COMPLETED" if score else "FAILED")
        trial.score = score
        oracle.trials[trial_id] = trial
    found = report.rows(tmp_path, oracle)
    assert [row["id"] for row in found] == ["2", "0", "1"] and found[-1]["message"] == "its objective was not finite"

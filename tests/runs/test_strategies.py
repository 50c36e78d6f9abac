"""Training on several devices and in several processes."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SMALL, tiny, tiny_values
from helpers import one_line, two_replicas

from tfgen import cores, data, runs
from tfgen.runs import fitting, strategies
from tfgen.runs.checkpoints import state

ROOT = pathlib.Path(__file__).parents[2]


def train(out, epochs=2, strategy=None, recipe="vae", values=None, **about):
    return runs.train(recipe, data.load("digits"), out, epochs, tiny_values(recipe) | (values or {}), batch_size=256,
                      verbose=0, steps_per_execution=4, strategy=strategy, **about)


@pytest.mark.parametrize("name, replicas, config, words", [
    ("parallel", None, None, ["strategy expects mirrored or multiworker", "'parallel'"]),
    ("mirrored", None, None, ["expects GPUs or a number of replicas", "found 0 GPUs"]),
    ("mirrored", 8, None, ["expected 8 logical CPU devices, found 2"]),
    ("multiworker", 2, None, ["replicas expects the strategy mirrored", "multiworker"]),
    ("multiworker", None, "", ["multiworker expects TF_CONFIG", '"task"', "received none"]),
    ("multiworker", None, '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
     ["multiworker expects TF_CONFIG", "IndexError"])])
def test_a_strategy_that_cannot_be_made_says_why(monkeypatch, name, replicas, config, words):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    two_replicas()
    tf.config.list_logical_devices()  # TensorFlow has begun.
    one_line(words, strategies.strategy_of, name, replicas)


@pytest.mark.rotating
@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_two_replicas_train_and_validate_as_one_device_and_resume_exactly(tmp_path, capsys):
    model = train(tmp_path / "one")
    copy = train(tmp_path / "two", strategy=two_replicas())
    assert copy.distribute_strategy.num_replicas_in_sync == 1
    assert json.loads((tmp_path / "two" / "run.json").read_text())["devices"] == {
        "replicas": 2, "processes": 1, "threads": strategies.threads()}
    rows = [runs.read_history(tmp_path / name) for name in ("one", "two")]
    for ours, theirs in zip(*rows, strict=True):
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=2e-5)
    for ours, theirs in zip(model.weights, copy.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    train(tmp_path / "broken", epochs=1, strategy=two_replicas())
    again = runs.resume(tmp_path / "broken", 2, verbose=0, strategy=two_replicas())
    for ours, theirs in zip(state(copy), state(again), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert runs.read_history(tmp_path / "broken") == rows[1]
    assert "replicas" not in capsys.readouterr().err
    runs.resume(tmp_path / "broken", 3, verbose=0)
    assert "was trained on 2 replicas and goes on with 1: it ends where the unbroken run ends but for rounding" in (
        capsys.readouterr().err)


@pytest.mark.rotating
def test_stages_clipping_and_parts_are_of_the_whole_batch(tmp_path):
    """Keras clips before it sums over replicas: a norm of parts is larger than that of their sum."""
    regime = runs.regime.Regime(clip_norm=1e-3, accumulate=2)
    made = [train(tmp_path / name, 2, strategy, "vqvae", {"total_steps": 4}, regime=regime)
            for name, strategy in (("one", None), ("two", two_replicas()))]
    assert {row["stage"] for row in runs.read_history(tmp_path / "two")} == {0.0, 1.0}
    for ours, theirs in zip(*(model.weights for model in made), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


@pytest.mark.rotating
@pytest.mark.filterwarnings("error:Your input ran out of data")
@pytest.mark.parametrize("steps_per_execution", [1, 2, 5])
def test_a_game_is_validated_as_on_one_device(steps_per_execution):
    """Without what it reports of training only; a pass of four batches ends between executions, with one, and within one."""
    def evaluated(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(3)
            model = tiny("gan")
            model.steps_per_execution = steps_per_execution
        batches = fitting.shared(strategy, lambda portion: data.load("digits").batches(
            "validation", 64 // strategy.num_replicas_in_sync, limit=256, portion=portion))
        return [model.evaluate(batches, verbose=0, return_dict=True) for _ in range(2)]

    one, two = evaluated(tf.distribute.get_strategy()), evaluated(two_replicas())
    assert set(one[0]) == set(two[0]) and "generator_gradient" not in two[0] and two[0] == two[1]
    for name, value in one[0].items():
        np.testing.assert_allclose(two[0][name], value, rtol=1e-5, err_msg=name)


def test_no_stream_of_a_replica_ends_with_a_wait():
    """TensorFlow's iterators over several devices have a tuning thread, whose sleep doubles: one that ended waited for up to
    some minutes. A stream of each replica's own has none."""
    batches = fitting.shared(two_replicas(), lambda portion: data.load("digits").train(8, portion=portion))
    streams = [stream._iterator for stream in iter(batches)._iterators]
    assert [type(stream).__name__ for stream in streams] == ["OwnedIterator"] * 2
    assert all(stream._dataset.options().autotune.enabled is False for stream in streams)


def test_what_cannot_be_shared_is_refused_before_anything_is_written(tmp_path):
    one_line(["expected a multiple of 2 images", "received 255"], runs.train, "autoencoder", data.load("digits"),
             tmp_path / "run", 1, tiny_values("autoencoder"), 255, strategy=two_replicas())
    assert not (tmp_path / "run").exists()


def test_keras_own_distribution_is_refused(monkeypatch):
    monkeypatch.setattr(keras.distribution, "distribution", lambda: "DataParallel")
    one_line(["keras.distribution", "ignores on TensorFlow"], tiny, "autoencoder")


def free_ports(count):
    """Ports of this machine that no process listens on."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def processes(*command):
    """The two processes of a training over loopback."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return [subprocess.Popen(
        [sys.executable, "-m", "tfgen.cli", *command, "--strategy", "multiworker"], stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"TF_CONFIG": json.dumps({
            "cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})}) for index in range(2)]


def ended(process):
    """(exit code, standard output, the last line of the errors) of a process."""
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors.strip().splitlines()[-1]


@pytest.mark.rotating
def test_a_killed_worker_ends_the_others_and_all_of_them_go_on(tmp_path):
    out = tmp_path / "run"
    chief, worker = processes("train", "vae", *SMALL, "--epochs", "400", "--out", str(out), "--picture-every", "400")
    try:
        begun = time.monotonic()
        while len(runs.read_history(out)) < 2 and chief.poll() is None and time.monotonic() - begun < 120:
            time.sleep(0.2)
        worker.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        code, _, line = ended(chief)
        assert code == 1 and time.monotonic() - begun < 30
        assert line.startswith("error: another process of the training is gone") and f"--resume {out}" in line
        ended(worker)
        before = len(runs.read_history(out))
        again = processes("train", "--resume", str(out), "--epochs", str(before + 2), "--quiet")
        for process, said in zip(again, (f"run in {out}", ""), strict=True):
            code, printed, line = ended(process)
            assert code == 0 and said in printed, line
    finally:
        for process in (chief, worker):
            process.kill()
    # Both processes draw the same batches and noise, and so the same as one device.
    small = {"latent_dim": 3, "filters": 4, "levels": 1}
    one = runs.train("vae", data.load("digits"), tmp_path / "one", before + 2, small, 256, verbose=0)
    rows = [runs.read_history(folder) for folder in (out, tmp_path / "one")]
    assert [row["epoch"] for row in rows[0]] == list(range(1, before + 3))
    np.testing.assert_allclose([row["val_loss"] for row in rows[0]], [row["val_loss"] for row in rows[1]], rtol=1e-4)
    loaded = runs.open_run(out)[0]
    for ours, theirs in zip(one.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-3)


def test_a_run_says_how_many_threads_it_has(monkeypatch):
    for asked, threads in (("3", 3), ("", cores.available()), ("many", cores.available())):
        monkeypatch.setenv("TF_NUM_INTEROP_THREADS", asked)
        assert strategies.threads()["operations_at_once"] == (
            tf.config.threading.get_inter_op_parallelism_threads() or threads)

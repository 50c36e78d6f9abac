"""Checks of exports on disk."""

import contextlib
import pathlib
import shutil

import keras
import numpy as np
import pytest
from cases import tiny

from tfgen.errors import Failure, UserError
from tfgen.serving import check, examples, export, native
from tfgen.verbs.live import Live

STORED = pathlib.Path(__file__).parents[1] / "stored"


@pytest.fixture(scope="module")
def model():
    return tiny("vae")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export.export(model, tmp_path_factory.mktemp("vae"))


@pytest.fixture
def copied(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


def test_the_kept_outputs_are_the_models(exported, model):
    inputs, outputs = examples.read(exported)
    assert set(inputs) == set(outputs) == {"reconstruct", "encode", "decode", "sample", "log_prob"}
    np.testing.assert_allclose(outputs["encode"]["latents"], model.encode(inputs["encode"]["x"]), atol=1e-6)
    assert all(len(array) == 3 for by_verb in (inputs, outputs) for arrays in by_verb.values() for array in arrays.values())


def test_a_check_compares_and_measures(exported, model, loader):
    for live in (None, Live(model)):
        rows = check.check(exported, loader, live, timed=(1, 4), seconds=0.0)
        assert {row.signature for row in rows} == {"serving_default", *examples.read(exported)[0]}
        assert all(row.difference < 1e-5 and set(row.milliseconds) == {1, 4} and min(row.milliseconds.values()) > 0
                   for row in rows)
    lines = check.table(exported, rows)
    assert lines[0].startswith(f"{exported}: 0.") and lines[0].endswith(" MB")
    assert lines[1].split() == ["signature", "inputs", "difference", "ms/row", "at", "1", "ms/row", "at", "4"]
    assert any(line.startswith("log_prob") and "x (B, 8, 8, 1), k (B)" in line for line in lines)


def test_an_output_that_differs_is_found(copied, loader):
    inputs, outputs = examples.read(copied)
    outputs["sample"]["images"] = outputs["sample"]["images"] + np.float32(0.25)
    examples.write(copied, inputs, outputs)
    found = {row.signature: row.difference for row in check.check(copied, loader, timed=())}
    assert found.pop("sample") == pytest.approx(0.25, abs=1e-5) and max(found.values()) < 1e-5
    keras.utils.set_random_seed(7)  # other weights
    other = {row.signature: row.difference for row in check.check(copied, loader, Live(tiny("vae")), timed=())}
    assert other["encode"] > 1e-2 and other["sample"] > 1e-3


def test_broken_exports_are_one_line(copied, loader):
    (copied / examples.FILE).unlink()
    with pytest.raises(UserError, match="expected examples of the model's outputs in .*: give the run, with --run"):
        check.check(copied, loader)
    shutil.rmtree(copied / "variables")
    with pytest.raises(Failure, match="C\\+\\+ loader fails with") as caught:
        check.check(copied, loader, Live(tiny("vae")))
    assert "\n" not in str(caught.value)
    (copied / "saved_model.pb").write_text("none")
    with pytest.raises(UserError, match="expected a SavedModel in .*: export it again"):
        check.check(copied, loader)
    with pytest.raises(UserError, match="holds no SavedModel"):
        check.versions(copied.parent / "nowhere")


def test_from_an_export_to_its_check_on_the_command_line(tfgen, loader, monkeypatch):
    monkeypatch.setattr(native, "Loader", lambda: contextlib.nullcontext(loader))
    measure = loader.seconds
    monkeypatch.setattr(loader, "seconds", lambda feeds, fetches, budget: measure(feeds, fetches, 0.0))
    run = STORED / "run"
    code, out, err = tfgen("export", run, "--to", "served/digits", "--signatures", "sample,encode", "--warmup-batch-sizes",
                           "1,4", "--check")
    assert code == 0 and "served/digits/1: encode, sample\n" in out, err
    assert {line.split()[0] for line in out.splitlines()[2:]} == {"signature", "encode", "sample", "serving_default"}
    code, out, _ = tfgen("check-export", "served/digits", "--run", run)
    assert code == 0 and "served/digits/1: 0." in out
    inputs, outputs = examples.read("served/digits/1")
    outputs["encode"]["latents"] = outputs["encode"]["latents"] + np.float32(0.5)
    examples.write("served/digits/1", inputs, outputs)
    code, out, err = tfgen("check-export", "served/digits/1")
    assert code == 1 and "'encode' of served/digits/1 by 0." in err and err.count("\n") == 1 and "sample" in out
    code, out, _ = tfgen("serving-config", "served", "--max-batch-size", 16)
    assert code == 0 and "models.config, batching_parameters.txt, monitoring.config, compose.yaml in served" in out
    assert "allowed_batch_sizes: 1\nallowed_batch_sizes: 4\nallowed_batch_sizes: 16\n" in pathlib.Path(
        "served/batching_parameters.txt").read_text()
    for arguments, message in (
            (["--signatures", "smaple"], "signatures expect some of reconstruct, encode, decode, sample, log_prob, received "
                                         "'smaple' (did you mean 'sample'?)"),
            (["--signatures", ""], "received ''"), (["--precision", "float16"], "(did you mean 'bfloat16'?)"),
            (["--warmup-batch-sizes", "1,x"], "expects numbers such as 1,32, or none, received '1,x'"),
            (["--warmup-batch-sizes", "0"], "at least 1, received 0")):
        code, _, err = tfgen("export", run, "--to", "served/other", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err
        assert not pathlib.Path("served/other").exists() or not any(pathlib.Path("served/other").iterdir())
    assert tfgen("serving-config", "nowhere")[0] == tfgen("check-export", "nowhere")[0] == 2

"""`tfgen serve`: TF Serving's own server where there is one, else the embedded one."""

import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest
from cases import tiny

from tfgen import files
from tfgen.serving import export

needs_extra = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="the extra 'serving' is not installed")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A program in place of TF Serving's, on the PATH; the command records what it would start instead of becoming it."""
    program, started = tmp_path / "bin" / "tensorflow_model_server", []
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(os, "execv", lambda path, arguments: started.append([path, *arguments]) or sys.exit(0))
    return program, started


def test_the_original_is_started_with_its_configuration(tfgen, installed):
    program, started = installed
    folder = pathlib.Path("saved_models").resolve()
    (folder / "digits" / "1" / "assets.extra").mkdir(parents=True)
    files.write_json(folder / "digits" / "1" / "assets.extra" / "tfgen.json", {"xla": True, "warmup_batch_sizes": [8, 128]})
    code, out, _ = tfgen("serve", "saved_models", "--port", 9001, "--grpc-port", 9000)
    assert code == 0 and f"starting {program}, which listens on every address" in out and out.count("\n") == 1
    (path, *arguments), = started
    assert path == arguments[0] == str(program) and arguments[1:3] == ["--port=9000", "--rest_api_port=9001"]
    config = pathlib.Path(re.fullmatch("--model_config_file=(.*)", arguments[3])[1])
    assert f'base_path: "{folder}/digits"' in config.read_text()
    batching = pathlib.Path(re.fullmatch("--batching_parameters_file=(.*)", arguments[5])[1]).read_text()
    assert re.findall("allowed_batch_sizes: (.*)", batching) == ["8", "128"]
    assert arguments[-1] == "--xla_gpu_compilation_enabled=true" and "--enable_batching=true" in arguments
    for option, value in (("--token", "x"), ("--host", "127.0.0.1"), ("--queue", 7), ("--batch-wait", 5), ("--workers", 2)):
        code, _, err = tfgen("serve", "saved_models", option, value)
        assert code == 2 and f"knows no {option}, received it: add --embedded" in err and len(started) == 1
    assert tfgen("serve", "saved_models", "--batch-sizes", "2,16")[0] == 0
    text = pathlib.Path(re.search("--batching_parameters_file=(.*)", " ".join(started[1]).replace(" ", "\n"))[1]).read_text()
    assert "max_batch_size {\n  value: 16\n}" in text and "allowed_batch_sizes: 2\nallowed_batch_sizes: 16\n" in text
    # The folder of one model's versions.
    assert tfgen("serve", "saved_models/digits")[0] == 0
    config = pathlib.Path(re.fullmatch("--model_config_file=(.*)", started[2][4])[1])
    path = pathlib.Path(re.search('base_path: "(.*)"', config.read_text())[1])
    assert path.resolve() == folder / "digits" and path.name == "digits" and config.read_text().count("name:") == 1


@pytest.mark.parametrize("given, words", [
    (["--batch-sizes", "4,x"], "--batch-sizes expects numbers such as 1,32, received '4,x'"),
    (["--batch-sizes", "4,2"], "batch sizes expect ascending numbers of at least 1, such as 1,8,32, received 4,2"),
    (["--batch-sizes", "4,8", "--max-batch", 9], "expects 8 rows, the last of the batch sizes, received 9")])
def test_sizes_of_batches_are_checked(tfgen, given, words):
    code, _, err = tfgen("serve", "saved_models", "--embedded", *given)
    assert code == 2 and words in err and err.count("\n") == 1


def test_missing_packages_are_named(tfgen, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *given: None if name == "orjson" else find(name, *given))
    code, _, err = tfgen("serve", "saved_models", "--embedded")
    assert code == 2 and "orjson" in err and "pip install 'tfgen[serving]'" in err and err.count("\n") == 1


@needs_extra
def test_a_folder_without_models_is_refused(tfgen):
    code, _, err = tfgen("serve", ".", "--embedded", "--port", 0, "--grpc-port", 0)
    assert code == 2 and "expected a folder of SavedModels" in err


@pytest.mark.rotating
@needs_extra
def test_sigterm_answers_what_is_in_flight_and_ends_with_0(tmp_path):
    """A request waits for its batch when the signal comes."""
    export.export(tiny("autoencoder"), tmp_path / "models" / "ae")
    command = [sys.executable, "-m", "tfgen.cli", "serve", "models", "--embedded", "--port", "0", "--grpc-port", "0",
               "--batch-wait", "1500"]
    root = pathlib.Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}) as process:
        line = process.stdout.readline()
        assert "the embedded server (as asked) serves ae: REST http://127.0.0.1:" in line
        url, answers = re.search("http://127.0.0.1:[0-9]+", line)[0], []
        body = json.dumps({"signature_name": "decode", "instances": [[0.0, 0.0, 0.0]]}).encode()

        def work():
            with urllib.request.urlopen(f"{url}/v1/models/ae:predict", body, timeout=60) as answer:
                answers.append(json.load(answer))

        thread = threading.Thread(target=work)
        thread.start()
        page = ""
        while 'queue_requests{model="ae"} 1.0' not in page:
            with urllib.request.urlopen(f"{url}/monitoring/prometheus/metrics", timeout=60) as answer:
                page = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert process.wait(60) == 0 and "stopped" in process.stderr.read()
    assert len(answers[0]["predictions"]) == 1

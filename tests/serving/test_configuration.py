"""Files for TF Serving: each read back with its message, or by a parser of YAML."""

import json
import pathlib
import re

import pytest
from google.protobuf import text_format
from helpers import one_line
from tensorflow_serving.config import model_server_config_pb2

from tfgen.serving import configuration


@pytest.fixture
def folder(tmp_path):
    """Two models: `a b` with versions 2 and 10 that warm up with 1 and 4 rows, and `plain`, without a record."""
    for version, sizes in ((2, [1, 64]), (10, [1, 4])):
        extra = tmp_path / "a b" / str(version) / "assets.extra"
        extra.mkdir(parents=True)
        (extra / "tfgen.json").write_text(json.dumps({"warmup_batch_sizes": sizes, "xla": version == 2}))
    (tmp_path / "plain" / "1").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("about")
    return tmp_path


def test_models_are_the_subfolders_with_versions(folder):
    paths = configuration.write(folder)
    assert {path.parent for path in paths.values()} == {folder} and set(paths) == {
        "models.config", "batching_parameters.txt", "monitoring.config", "compose.yaml"}
    config = text_format.Parse(paths["models.config"].read_text(), model_server_config_pb2.ModelServerConfig())
    assert [(model.name, model.base_path, model.model_platform) for model in config.model_config_list.config] == [
        ("a b", "/models/a b", "tensorflow"), ("plain", "/models/plain", "tensorflow")]


def test_a_server_may_see_the_models_elsewhere(folder, tmp_path):
    paths = configuration.write(folder, to=tmp_path / "elsewhere", seen_at=folder)
    assert str(folder / "plain") in paths["models.config"].read_text() and not (folder / "models.config").exists()


@pytest.mark.parametrize("largest, sizes", [(None, [1, 4]), (16, [1, 4, 16]), (4, [1, 4]), (2, [1, 2])])
def test_batches_have_the_sizes_that_were_warmed_up_and_end_with_the_largest(folder, largest, sizes):
    text = configuration.write(folder, largest_batch=largest)["batching_parameters.txt"].read_text()
    batching = text_format.Parse(text, configuration.BatchingParameters())
    assert list(batching.allowed_batch_sizes) == sizes and batching.max_batch_size.value == sizes[-1]
    # As its definition writes it: wrapped numbers, and plain ones.
    assert f"max_batch_size {{\n  value: {sizes[-1]}\n}}" in text and f"allowed_batch_sizes: {sizes[-1]}" in text
    assert batching.batch_timeout_micros.value > 0 and batching.max_enqueued_batches.value > 0


def test_batches_have_the_given_sizes(folder):
    paths = configuration.write(folder, largest_batch=32, sizes=(2, 8, 32))
    batching = text_format.Parse(paths["batching_parameters.txt"].read_text(), configuration.BatchingParameters())
    assert list(batching.allowed_batch_sizes) == [2, 8, 32] and batching.max_batch_size.value == 32
    assert configuration.batch_sizes(folder, sizes=(3,)) == [3]


@pytest.mark.parametrize("largest, sizes, words", [
    (None, (8, 4), ["ascending numbers of at least 1", "received 8,4"]), (None, (4, 4), ["received 4,4"]),
    (None, (0, 4), ["received 0,4"]), (16, (4, 8), ["largest batch expects 8 rows", "received 16: give one of the two"])])
def test_sizes_that_tf_serving_would_refuse_are_refused(folder, largest, sizes, words):
    one_line(words, configuration.write, folder, largest_batch=largest, sizes=sizes)
    assert not (folder / "batching_parameters.txt").exists()


def test_fields_have_the_numbers_of_tf_servings_definitions():
    """From session_bundle_config.proto and monitoring_config.proto."""
    assert configuration.BatchingParameters(max_batch_size={"value": 5}, allowed_batch_sizes=[5],
                                            pad_variable_length_inputs=True).SerializeToString() == bytes(
        [0x0A, 2, 0x08, 5, 0x32, 1, 5, 0x38, 1])
    assert configuration.MonitoringConfig(prometheus_config={"enable": True, "path": "p"}).SerializeToString() == bytes(
        [0x0A, 5, 0x08, 1, 0x12, 1]) + b"p"


def test_metrics_are_for_prometheus(folder):
    text = configuration.write(folder)["monitoring.config"].read_text()
    read = text_format.Parse(text, configuration.MonitoringConfig())
    assert read.prometheus_config.enable and read.prometheus_config.path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("xla", [False, True])
def test_the_compose_file_has_a_server_with_and_without_gpu(folder, xla):
    yaml = pytest.importorskip("yaml")
    (folder / "plain" / "1" / "assets.extra").mkdir()
    (folder / "plain" / "1" / "assets.extra" / "tfgen.json").write_text(json.dumps({"xla": xla}))
    services = yaml.safe_load(configuration.write(folder)["compose.yaml"].read_text())["services"]
    assert {name: service["image"] for name, service in services.items()} == {
        "cpu": "tensorflow/serving:latest", "gpu": "tensorflow/serving:latest-gpu"}
    for name, service in services.items():
        assert service["volumes"] == [".:/models:ro"] and service["profiles"] == [name]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        named = [re.fullmatch(r"--(\w+)=(.+)", flag).groups() for flag in service["command"]]
        files = {flag: value for flag, value in named if flag.endswith("_file")}
        assert files == {"model_config_file": "/models/models.config", "monitoring_config_file": "/models/monitoring.config",
                         "batching_parameters_file": "/models/batching_parameters.txt"}
        assert ("enable_batching", "true") in named
        assert ((f"xla_{name}_compilation_enabled", "true") in named) == xla
    devices = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}] and "deploy" not in services["cpu"]


def test_folders_without_models_are_told_apart(folder):
    one_line(["expected a folder of exports", "nowhere"], configuration.write, folder / "nowhere")
    one_line(["found none", "tfgen export RUN --to"], configuration.write, folder / "notes")
    one_line(["holds the versions of one: give the folder above", str(folder)], configuration.write, folder / "plain")
    assert not (pathlib.Path(folder) / "notes" / "models.config").exists()

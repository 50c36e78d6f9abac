"""The benchmark of a server that runs, and the soak of the embedded one, for seconds."""

import contextlib
import io
import json

import pytest
from cases import tiny

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from benchmarks import serving, serving_soak, serving_url  # noqa: E402
from tfgen.errors import UserError  # noqa: E402
from tfgen.serving import export  # noqa: E402
from tfgen.serving.batching import Batching  # noqa: E402
from tfgen.serving.server import Server  # noqa: E402
from tfgen.verbs.table import Text  # noqa: E402


@pytest.mark.rotating
@pytest.mark.parametrize("workers", [1, 2])
def test_a_short_soak_finds_no_fault(workers):
    """Two new versions and a corrupt one come while good, bad and aborted requests go on; the server ends with 0."""
    made = serving_soak.run(4.0, fast=True, workers=workers)
    assert made["good"] > 10 and made["bad"] > 10 and made["aborted"] > 10


def test_a_soak_tells_wrong_answers():
    soak = serving_soak.Soak("http://127.0.0.1:1", "127.0.0.1:1")
    soak.count("good")
    soak.count("good", "wrong images of seeds [1]")
    assert soak.counts["good"] == 2 and soak.faults == ["wrong images of seeds [1]"]


@pytest.mark.rotating
def test_a_server_that_runs_is_measured(tmp_path, monkeypatch):
    """One with a token, over all ways to ask it; requests of more rows than it takes are named and passed over."""
    monkeypatch.setattr(serving_url, "LOADS", ((2, 1), (1, 4), (1, 5)))
    monkeypatch.setenv("TFGEN_TOKEN", "secret")
    export.export(tiny("autoencoder"), tmp_path / "models" / "ae")
    server = Server(tmp_path / "models", port=0, grpc_port=0, token="secret", batching=Batching(rows=4)).start()
    try:
        url = f"http://127.0.0.1:{server.port}/ae"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            made = serving_url.run(url, f"127.0.0.1:{server.grpc_port}", record=tmp_path / "record.json", rounds=1,
                                   seconds=0.1)
        with pytest.raises(UserError, match="404 Servable not found"):
            serving_url.run(url[:-2] + "none")
    finally:
        server.stop()
    assert set(made) == {f"{kind}_reconstruct_{load}" for kind in ("json", "npz", "grpc") for load in ("2x1", "1x4")}
    lines = out.getvalue().splitlines()
    assert len(lines) == 1 + 9 + 1 and lines[1].split()[:5] == ["REST,", "JSON:", "reconstruct", "2", "1"]
    assert "HTTP/1.1 400" in lines[3] and "expects 1 to 4 rows, received 5" in lines[3] and "INVALID_ARGUMENT" in lines[9]
    values = json.loads((tmp_path / "record.json").read_text())["values"]
    assert values["grpc_reconstruct_1x4_rows_per_s"] == made["grpc_reconstruct_1x4"]["rows_per_s"]["median"] > 0
    assert not [key for key in values if "share" in key]


def test_captions_are_sent_as_texts():
    """A server that tells the words of a text, and one that does not."""
    class Model:
        shapes = {"sample": {"seeds": ()}}

    for examples, wanted in ((("one two", "three"), "one two"), ((), "")):
        Model.options = {"sample": {"caption": Text((), 3, examples, "")}}
        made = serving.inputs_of(Model, "sample", 2)
        assert made["seeds"].tolist() == [0, 1] and made["caption"].tolist() == [wanted] * 2
        body = serving.request_of(serving.Case("", "json", "sample", 1, 2), "http://h:1/m", made).partition(b"\r\n\r\n")[2]
        assert json.loads(body)["instances"] == [{"seeds": 0, "caption": wanted}, {"seeds": 1, "caption": wanted}]

"""The embedded server over REST, against the SavedModel called directly."""

import base64
import gzip
import io
import json
import shutil
import socket
import subprocess
import threading
import time
import zipfile

import numpy as np
import pytest
from asking import LIMIT, X, Y, ask

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from tfgen.serving import json_tensors, listening, rest  # noqa: E402


def predicted(server, signature, path="/v1/models/cvae:predict", **body):
    code, answer = ask(server, path, {"signature_name": signature, **body})
    assert code == 200, answer
    return answer


def test_predict_by_rows_and_columns(server, stored):
    """Batches of 4 rows: 5 rows run in two pieces."""
    rows = [{"x": x.tolist(), "label": int(y)} for x, y in zip(X, Y)]
    wanted = stored("encode", X, label=Y)
    np.testing.assert_allclose(predicted(server, "encode", instances=rows)["predictions"], wanted, rtol=1e-5, atol=1e-6)
    columns = {"x": X.tolist(), "label": Y.tolist()}
    np.testing.assert_allclose(predicted(server, "encode", inputs=columns)["outputs"], wanted, rtol=1e-5, atol=1e-6)
    # The signature of requests that name none is the first verb's.
    code, answer = ask(server, "/v1/models/cvae/versions/1:predict", {"inputs": columns})
    np.testing.assert_allclose(answer["outputs"], stored("reconstruct", X, label=Y), rtol=1e-5, atol=1e-6)
    packed = {"x": {"b64": base64.b64encode(X.tobytes()).decode()}, "label": Y.tolist()}
    np.testing.assert_allclose(predicted(server, "encode", inputs=packed)["outputs"], wanted, rtol=1e-5, atol=1e-6)
    code, answer = ask(server, "/v1/models/cvae:predict", gzip.compress(json.dumps(
        {"signature_name": "encode", "inputs": columns}).encode()), Content_Encoding="gzip")
    assert code == 200 and np.shape(answer["outputs"]) == (5, 3)
    poisoned = X.copy()
    poisoned[1] = np.nan
    made = np.array(predicted(server, "encode", inputs={"x": poisoned.tolist(), "label": Y.tolist()})["outputs"])
    np.testing.assert_allclose(made[[0, 2, 3, 4]], wanted[[0, 2, 3, 4]], rtol=1e-5, atol=1e-6)


def test_status_and_metadata(server):
    for path in ("", "/versions/1"):
        assert ask(server, f"/v1/models/cvae{path}") == (200, {"model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]})
    code, found = ask(server, "/v1/models/cvae/metadata")
    assert code == 200 and found["model_spec"] == {"name": "cvae", "signature_name": "", "version": "1"}
    encode = found["metadata"]["signature_def"]["signature_def"]["encode"]
    assert encode["method_name"] == "tensorflow/serving/predict" and encode["inputs"]["x"] == {
        "dtype": "DT_FLOAT", "name": "encode_x:0", "tensor_shape": {"unknown_rank": False, "dim": [
            {"size": side, "name": ""} for side in ("-1", "8", "8", "1")]}}


NESTED = {"signature_name": "encode", "inputs": {"x": X.tolist(), "label": Y.tolist()}}
FAULTS = [
    ("/v1/models/none", None, 404, "Servable not found for request: Latest(none)"),
    ("/v1/models/cvae/versions/7", None, 404, "Could not find version 7 of model cvae"),
    ("/v1/models/cvae/versions/7/metadata", None, 404, "Servable not found for request: Specific(cvae, 7)"),
    ("/v1/models/cvae/versions/99999999999999999999999", None, 400, "Failed to convert version"),
    ("/v1/models/cvae/labels/stable", None, 400, "Unrecognized servable version label: stable"),
    (f"/v1/models/cvae/versions/{'0' * 20}{'9' * 5000}", None, 400, "Failed to convert version"),
    ("/v1/models", None, 400, "Malformed request: GET /v1/models"),
    ("/v1/models/../../etc/passwd", None, 400, "Malformed request"), ("/../../etc/passwd", None, 404, "Not Found"),
    ("/v1/models/%2e%2e%2f%2e%2e%2fetc", None, 404, "Servable not found"),
    ("/v1/models/cvae:explode", {}, 400, "Malformed request: POST"), ("/v1/models/cvae:predict", None, 400, "Malformed"),
    ("/v1/models/cvae:predict", b"", 400, "The document is empty"),
    ("/v1/models/cvae:predict", b"{", 400, "JSON Parse error"),
    ("/v1/models/cvae:predict", {"signature_name": 3}, 400, "'signature_name' key must be a string"),
    ("/v1/models/cvae:predict", {"signature_name": "nope", "inputs": []}, 400, '"nope" not found in signature def'),
    ("/v1/models/cvae:predict", NESTED | {"signature_name": "decode"}, 400, "Missing named input: z"),
    ("/v1/models/cvae:predict", {"signature_name": "encode", "inputs": {"x": X[:, :7].tolist(), "label": [0] * 5}}, 400,
     "input 'x' expects shape [-1,8,8,1], received [5,7,8,1]"),
    ("/v1/models/cvae:predict", {"signature_name": "encode", "inputs": {"x": [1, 2], "label": [0, 0]}}, 400, "received [2]"),
    ("/v1/models/cvae:predict", {"signature_name": "encode", "inputs": {"x": X.tolist(), "label": [0] * 4}}, 400,
     "must have equal 0th-dimension size"),
    ("/v1/models/cvae:predict", {"signature_name": "encode", "inputs": {"x": X.tolist(), "label": [0.5] * 5}}, 400,
     "not of expected type: int64"),
    ("/v1/models/cvae:predict", {"signature_name": "sample", "inputs": {"seeds": [0] * 51, "label": [0] * 51}}, 400,
     "expects 1 to 50 rows, received 51"),
    ("/v1/models/cvae:predict", {"signature_name": "sample", "inputs": {"seeds": [], "label": []}}, 400, "received 0"),
    ("/v1/models/cvae:classify", {}, 400, "key 'examples' is expected"),
    ("/v1/models/cvae:classify", {"examples": [{}]}, 400, "signature method_name to be tensorflow/serving/classify. Was: "
                                                          "tensorflow/serving/predict"),
    ("/v1/models/cvae:regress", {"examples": [{}]}, 400, "Expected regression signature method_name"),
    ("/v1/models/cvae:predict", b"x" * (LIMIT + 1), 413, f"at most {LIMIT} bytes"),
    ("/v1/models/cvae:predict", b'{"signature_name":"sample","inputs":{"label":[0],"seeds":%b1%b}}' % (b"[" * 70, b"]" * 70),
     400, "input 'seeds' expects shape [-1], received [1,1,1"),
    ("/v1/models/cvae:predict", b'{"signature_name":"\\ud800","instances":[NaN]}', 400, '"?" not found in signature def'),
    ("/v1/models/cvae:predict", b'{"signature_name":"encode","instances":[{"\\ud800":NaN}]}', 400, "keys ? must be equal"),
]


@pytest.mark.parametrize("path, body, code, words", FAULTS, ids=[f"{one[2]} {one[3][:30]}" for one in FAULTS])
def test_faults_are_named(server, path, body, code, words):
    found, answer = ask(server, path, body)
    assert found == code and words in answer["error"], answer


def test_bodies_that_unpack_to_more_than_the_limit_are_refused(server):
    path = "/v1/models/cvae:predict"
    assert ask(server, path, gzip.compress(b" " * 2 * LIMIT), Content_Encoding="gzip")[0] == 413
    assert ask(server, path, b"nothing", Content_Encoding="gzip")[0] == 400
    assert ask(server, path, b"x", Content_Encoding="br")[0] == 415


def test_gzip_bodies_are_whole(server):
    path, body = "/v1/models/cvae:predict", json.dumps({"signature_name": "sample", "inputs": {"seeds": [1], "label": [0]}})
    whole = gzip.compress(body.ljust(LIMIT).encode())  # as large as the limit
    assert ask(server, path, whole, Content_Encoding="gzip")[0] == 200
    for wrong, words in ((whole[:-8], "without its end"), (whole[:-1], "without its end"), (whole * 2, "further bytes")):
        code, answer = ask(server, path, wrong, Content_Encoding="gzip")
        assert code == 400 and words in answer["error"]


def test_npz_bodies(server, stored, monkeypatch):
    """Arrays that are large once they are unpacked are read in another thread, however small the body is."""
    path, threads, arrays = "/v1/models/cvae:predict?signature_name=encode", [], json_tensors.Npz.arrays
    monkeypatch.setattr(rest, "HEAVY", 10_000)
    monkeypatch.setattr(json_tensors.Npz, "arrays",
                        lambda self: threads.append(threading.current_thread().name) or arrays(self))
    for rows in (1, 50):
        file, given = io.BytesIO(), np.zeros((rows, 8, 8, 1), "f4")
        np.savez_compressed(file, x=given, label=np.zeros(rows, int))
        assert len(file.getvalue()) < 1000
        code, answer = ask(server, path, file.getvalue(), Content_Type="application/npz")
        np.testing.assert_allclose(answer["outputs"], stored("encode", given, label=np.zeros(rows, int)), atol=1e-5)
    assert threads[0] == "server" and threads[1] != "server"
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<U0", "fortran_order": False, "shape": (10**8,)})
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr("label.npy", file.getvalue())
        archive.writestr("x.npy", file.getvalue())
    begun = time.perf_counter()
    code, answer = ask(server, path, bomb.getvalue(), Content_Type="application/npz")
    assert code == 413 and f"at most {LIMIT} bytes" in answer["error"] and time.perf_counter() - begun < 1


def test_slow_clients_are_cut(server, monkeypatch):
    """Half of the headers, headers without an end, headers without a body, and no request at all."""
    monkeypatch.setattr(listening, "HEADER_SECONDS", 0.3)
    head = b"POST /v1/models/cvae:predict HTTP/1.1\r\nHost: x\r\n"
    for sent, code in ((head, b"408"), (head + b"x: " + b"y" * listening.HEADER_BYTES, b"431"),
                       (head + b"Content-Length: 100\r\n\r\n{", b"408"), (b"", b"408"), (b"nonsense\r\n\r\n", b"400")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
            begun = time.monotonic()
            one.sendall(sent)
            answer = b"".join(iter(lambda: one.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 " + code) and time.monotonic() - begun < 5, answer
    assert ask(server, "/v1/models/cvae")[0] == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server):
    body = json.dumps({"signature_name": "sample", "instances": [{"seeds": 3, "label": 1}]})
    url = f"http://127.0.0.1:{server.port}/v1/models/cvae:predict"
    made = subprocess.run(["curl", "-sf", url, "-d", body], capture_output=True, text=True, timeout=20, check=True)
    assert np.shape(json.loads(made.stdout)["predictions"]) == (1, 8, 8, 1)
    # A body that curl announces and waits for leave to send.
    made = subprocess.run(["curl", "-s", url, "-H", "Expect: 100-continue", "-d", body], capture_output=True, text=True,
                          timeout=20, check=True)
    assert "predictions" in json.loads(made.stdout)

"""The embedded server, over REST and gRPC, against the SavedModel called directly."""

import base64
import dataclasses
import gzip
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from cases import tiny

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

import grpc  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from benchmarks import serving  # noqa: E402
from tfgen.errors import Failure, UserError  # noqa: E402
from tfgen.serving import Client, export, listening, saved_model  # noqa: E402
from tfgen.serving.batching import Batching  # noqa: E402
from tfgen.serving.server import Server  # noqa: E402

X = np.random.default_rng(0).random((5, 8, 8, 1), "float32")
Y = np.arange(5) % 3
LIMIT = 2**16


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of a version of a conditional VAE."""
    folder = tmp_path_factory.mktemp("models") / "cvae"
    return export.export(tiny("conditional_vae"), folder)


@pytest.fixture(scope="module")
def stored(exported):
    return saved_model.Served(exported)


@pytest.fixture(scope="module")
def server(exported):
    made = Server(exported.parents[1], port=0, grpc_port=0, limit=LIMIT, poll=0.1, patience=0.4,
                  batching=Batching(most=4, rows=50)).start()
    yield made
    made.stop()


def ask(server, path, body=None, method=None, **headers):
    """(code, object or bytes) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(method or ("GET" if body is None else "POST"), path, body,
                       {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if answer.headers.get_content_type() == "application/json" else data


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


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


def request_of(signature="encode", name="cvae", version=None, **inputs):
    made = predict_pb2.PredictRequest(inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()})
    made.model_spec.name, made.model_spec.signature_name = name, signature
    if version:
        made.model_spec.version.value = version
    return made


def test_grpc(channel, stored):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    made = stub.Predict(request_of(x=X, label=Y))
    np.testing.assert_allclose(tf.make_ndarray(made.outputs["latents"]), stored("encode", X, label=Y), rtol=1e-5, atol=1e-6)
    assert (made.model_spec.name, made.model_spec.version.value, made.model_spec.signature_name) == ("cvae", 1, "encode")
    # Values one by one instead of bytes.
    request = request_of(x=X[:2], label=Y[:2])
    request.inputs["x"].ClearField("tensor_content")
    request.inputs["x"].float_val.extend(X[:2].ravel().tolist())
    made = stub.Predict(request)
    np.testing.assert_allclose(tf.make_ndarray(made.outputs["latents"]), stored("encode", X[:2], label=Y[:2]), rtol=1e-5,
                               atol=1e-6)
    found = get_model_metadata_pb2.SignatureDefMap()
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "cvae"
    stub.GetModelMetadata(request).metadata["signature_def"].Unpack(found)
    assert {"encode", "decode", "sample", "serving_default"} <= set(found.signature_def)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "cvae"
    status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert [(one.version, one.state) for one in status] == [(1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)]


def huge(request):
    """One value for a shape of 1e9 rows."""
    request.inputs["label"].CopyFrom(tf.make_tensor_proto(np.zeros(1, "int64")))
    request.inputs["label"].tensor_shape.dim[0].size = 10**9
    request.inputs["label"].tensor_content = b""
    request.inputs["label"].int64_val.append(1)
    return request


@pytest.mark.parametrize("request_, code, words", [
    (request_of(name="none"), "NOT_FOUND", "Servable not found for request: Latest(none)"),
    (request_of(version=7), "NOT_FOUND", "Specific(cvae, 7)"),
    (request_of(name=""), "INVALID_ARGUMENT", "no name specified"),
    (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (request_of("nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
    (request_of(x=X), "INVALID_ARGUMENT", "Missing but required: {label}."),
    (request_of(x=X, label=Y, z=Y), "INVALID_ARGUMENT", "Sent extra: {z}."),
    (request_of(x=X.astype("float64"), label=Y), "INVALID_ARGUMENT", "dtype float32, received float64"),
    (request_of(x=X[0], label=Y), "INVALID_ARGUMENT", "received [8,8,1]"),
    (huge(request_of(x=X, label=Y)), "INVALID_ARGUMENT", f"at most {LIMIT} bytes"),
    (request_of("sample", seeds=np.zeros(51, "int64"), label=np.zeros(51, "int64")), "INVALID_ARGUMENT", "received 51"),
    (request_of("decode", z=np.zeros((LIMIT, 3), "f4")), "RESOURCE_EXHAUSTED", "larger than max")],
    ids=lambda value: value if isinstance(value, str) else "")
def test_grpc_faults_are_named(channel, request_, code, words):
    with pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request_)
    assert caught.value.code().name == code and words in caught.value.details()


def test_grpc_refuses_other_methods(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "cvae"
    with pytest.raises(grpc.RpcError, match="signature method_name to be tensorflow/serving/classify"):
        stub.Classify(request)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["weights"])
    request.model_spec.name = "cvae"
    with pytest.raises(grpc.RpcError, match="Metadata field weights is not supported"):
        stub.GetModelMetadata(request)


def test_many_clients_get_their_own_images(server, stored):
    """16 threads at once, over both interfaces."""
    wanted, wrong = stored("sample", np.arange(64), label=np.arange(64) % 3), []
    clients = [Client(f"http://127.0.0.1:{server.port}/cvae"), Client(f"grpc://127.0.0.1:{server.grpc_port}/cvae")]

    def work(index):
        for seeds in np.split(np.arange(64).reshape(16, 4)[index], 2):
            made = clients[index % 2]("sample", seeds, label=seeds % 3)
            if not np.allclose(made, wanted[seeds], rtol=1e-4, atol=1e-5):
                wrong.append(seeds)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    page = ask(server, "/monitoring/prometheus/metrics")[1].decode()
    assert 'tfgen_serving_requests_total{code="OK",interface="REST",model="cvae"}' in page
    assert 'tfgen_serving_batch_rows_bucket{le="4.0",model="cvae"}' in page


@pytest.mark.parametrize("scheme", ["http", "grpc", "json"])
def test_client(server, stored, scheme, monkeypatch):
    """Over JSON as TF Serving itself takes it, too, which tells no record of the export."""
    if scheme == "json":
        monkeypatch.setattr("tfgen.serving.transports.OURS", "another")
    port = server.grpc_port if scheme == "grpc" else server.port
    client = Client(f"{scheme.replace('json', 'http')}://127.0.0.1:{port}/cvae")
    assert client.names == stored.names and client.image_shape == (8, 8, 1) and client.latent_shape == (3,)
    for name, inputs in (("reconstruct", X), ("encode", X), ("sample", np.arange(5)), ("decode", np.eye(5, 3, dtype="f4"))):
        np.testing.assert_allclose(client(name, inputs, label=Y, batch_size=3), stored(name, inputs, label=Y), rtol=1e-4,
                                   atol=1e-5)
    np.testing.assert_allclose(client.predict("encode", x=X.tolist(), label=Y)["latents"], stored("encode", X, label=Y),
                               rtol=1e-4, atol=1e-5)
    if scheme != "http":
        with pytest.raises(UserError, match="expects option 'label', whose default it does not tell"):
            client("sample", np.arange(3))
    else:
        np.testing.assert_allclose(client("sample", np.arange(3)), stored("sample", np.arange(3)), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="refused the request .*expects shape"):
        client.predict("encode", x=X[:, 1:], label=Y)
    with pytest.raises(UserError, match="has no signature 'nope'; it has"):
        client.predict("nope")


def test_client_of_nothing():
    for url in ("http://localhost/x", "ftp://a:1/b", "http://a:1/", "http://a:x/b"):
        with pytest.raises(UserError, match="expected http://HOST:PORT/NAME"):
            Client(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        for scheme in ("http", "grpc"):
            with pytest.raises(Failure, match="does not answer|could not answer"):
                Client(f"{scheme}://127.0.0.1:{free.getsockname()[1]}/x")


def test_commands_take_a_url(server, tfgen):
    assert tfgen("sample", f"http://127.0.0.1:{server.port}/cvae", "--n", 4, "--label", 1, "--out", "a.npy")[0] == 0
    assert np.load("a.npy").shape == (4, 8, 8, 1)
    np.save("z.npy", np.zeros((2, 3), "f4"))
    assert tfgen("decode", f"grpc://127.0.0.1:{server.grpc_port}/cvae", "--latents", "z.npy", "--option", "label=1", "--out",
                 "b.npy")[0] == 0
    code, _, err = tfgen("sample", f"http://127.0.0.1:{server.port}/none")
    assert code == 2 and "404 Servable not found for request: Latest(none)" in err and err.count("\n") == 1


def test_token(exported, tmp_path):
    with pytest.raises(UserError, match="expects a loopback address or a --token, received 0.0.0.0"):
        Server(exported.parents[1], host="0.0.0.0", port=0, grpc_port=0)
    guarded = Server(exported.parents[1], port=0, grpc_port=0, token="secret").start()
    try:
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "secret"}):
            for path in ("/v1/models/cvae", "/monitoring/prometheus/metrics"):
                code, answer = ask(guarded, path, **headers)
                assert code == 401 and "Authorization: Bearer TOKEN" in answer["error"]
        for scheme, port in (("http", guarded.port), ("grpc", guarded.grpc_port)):
            with pytest.raises(UserError, match="UNAUTHENTICATED|401"):
                Client(f"{scheme}://127.0.0.1:{port}/cvae", token="other")
            assert Client(f"{scheme}://127.0.0.1:{port}/cvae", token="secret").names
    finally:
        guarded.stop()


def test_faults_at_the_start(exported, tmp_path):
    with pytest.raises(UserError, match="expected a folder of SavedModels"):
        Server(tmp_path, port=0, grpc_port=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for ports in ({"port": taken.getsockname()[1], "grpc_port": 0}, {"port": 0, "grpc_port": taken.getsockname()[1]}):
            with pytest.raises(Failure, match="cannot be listened on"):
                Server(exported.parents[1], **ports)
    broken = tmp_path / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="none of the models in .* can be served"):
        Server(tmp_path, port=0, grpc_port=0)


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


def test_ovmsclient(server, stored):
    """Intel's clients of TF Serving's interfaces; they ask for version 0 where they mean the newest."""
    clients = pytest.importorskip("ovmsclient")
    wanted = stored("reconstruct", X, label=Y)
    for make, port in ((clients.make_http_client, server.port), (clients.make_grpc_client, server.grpc_port)):
        client = make(f"127.0.0.1:{port}")
        made = client.predict({"x": X, "label": Y}, "cvae")
        np.testing.assert_allclose(np.array(made), wanted, rtol=1e-4, atol=1e-5)
        assert client.get_model_status("cvae")[1]["state"] == "AVAILABLE"
    assert client.get_model_metadata("cvae")["inputs"]["x"]["shape"] == [-1, 8, 8, 1]




@pytest.mark.parametrize("name", ["rest_sample", "rest_npz_reconstruct", "grpc_reconstruct"])
def test_benchmark_measures_a_server(server, stored, name):
    """Its clients, in a process of their own, get answers of the right size, and none fails."""
    case = dataclasses.replace(serving.CASES[name], clients=2, rows=2)
    made = serving.measure(case, f"http://127.0.0.1:{server.port}/cvae", f"127.0.0.1:{server.grpc_port}", stored, 1, 0.1)
    assert made["rows_per_s"]["median"] > 0 and made["share_of_direct"]["median"] > 0
    assert 0 < made["p50_ms"]["median"] <= made["p99_ms"]["median"]

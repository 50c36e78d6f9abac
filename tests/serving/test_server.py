"""The embedded server and its clients: numpy in and out, commands, tokens, faults at the start."""

import dataclasses
import re
import socket
import subprocess
import threading
import time
import types

import numpy as np
import pytest
from asking import X, Y, ask

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from benchmarks import serving  # noqa: E402
from tfgen.errors import Failure, UserError  # noqa: E402
from tfgen.latent import sheets  # noqa: E402
from tfgen.serving import Client, listening  # noqa: E402
from tfgen.serving.batching import Batching  # noqa: E402
from tfgen.serving.server import Server  # noqa: E402
from tfgen.serving.versions import Version  # noqa: E402


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
        with pytest.raises(UserError, match="received a server that does not tell it"):
            sheets.classes(client)
        with pytest.raises(UserError, match="expects option 'label'"):
            client("sample", np.arange(3), label=None)
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


@pytest.mark.parametrize("grace, last, seconds, answered, longest", [(0.8, 5.0, 0.6, 2, 2.5), (0.2, 0.3, 2.0, 0, 3.0)])
def test_the_end_refuses_what_waits_too_long(exported, monkeypatch, capfd, grace, last, seconds, answered, longest):
    """What a model runs is answered, unless that takes too long, too; all others are refused, over both interfaces."""
    run, body = Version.run, {"signature_name": "sample", "inputs": {"seeds": [1], "label": [0]}}
    monkeypatch.setattr(listening, "GRACE_SECONDS", grace)
    monkeypatch.setattr(listening, "LAST_SECONDS", last)
    slow, answers = Server(exported.parents[1], port=0, grpc_port=0, batching=Batching(most=1)).start(), []
    monkeypatch.setattr(Version, "run", lambda self, *given: time.sleep(seconds) or run(self, *given))
    over_grpc = Client(f"grpc://127.0.0.1:{slow.grpc_port}/cvae")

    def work():
        answers.append(ask(slow, "/v1/models/cvae:predict", body))

    def refused():
        with pytest.raises(Failure, match="UNAVAILABLE.* the server is stopping"):
            over_grpc("sample", [1], label=0)
        answers.append("gRPC")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    batcher = slow.models.model("cvae").batcher
    while len(batcher.waiting) < 7:
        time.sleep(0.01)
    threads.append(threading.Thread(target=refused))
    threads[-1].start()
    while len(batcher.waiting) < 8:
        time.sleep(0.01)
    begun = time.monotonic()
    slow.stop()
    assert time.monotonic() - begun < longest
    for thread in threads:
        thread.join(10)
    codes = [answer[0] for answer in answers if answer != "gRPC"]
    assert len(answers) == 9 and sorted(codes) == [200] * answered + [503] * (8 - answered)
    assert all(answer[1] == {"error": "the server is stopping"} for answer in answers if answer[0] == 503)
    assert "Traceback" not in "".join(capfd.readouterr())


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


def test_the_load_of_the_benchmark_starts_without_tensorflow(monkeypatch):
    """It shares the machine with the server that it measures."""
    def with_its_modules(command, **about):
        made = subprocess.run([command[0], "-X", "importtime", *command[1:]], **about)
        imported = set(re.findall(r"\| +(\w+)", made.stderr.decode()))
        assert "asyncio" in imported and not imported & {"tensorflow", "tfgen", "benchmarks"}
        return made

    monkeypatch.setattr(serving, "subprocess", types.SimpleNamespace(run=with_its_modules))
    with pytest.raises(Failure, match="clients of 127.0.0.1:1 failed: (?s:.*)ConnectionRefused"):
        serving.load(serving.CASES["rest_sample"], "127.0.0.1", 1, b"", 0.1)


@pytest.mark.parametrize("name", ["rest_sample", "rest_npz_reconstruct", "grpc_reconstruct"])
def test_benchmark_measures_a_server(server, stored, name):
    """Its clients, in a process of their own, get answers of the right size, and none fails."""
    case = dataclasses.replace(serving.CASES[name], clients=2, rows=2)
    made = serving.measure(case, f"http://127.0.0.1:{server.port}/cvae", f"127.0.0.1:{server.grpc_port}", stored, 1, 0.1)
    assert made["rows_per_s"]["median"] > 0 and made["share_of_direct"]["median"] > 0
    assert 0 < made["p50_ms"]["median"] <= made["p99_ms"]["median"]

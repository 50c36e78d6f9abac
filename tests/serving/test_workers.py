"""Several processes that serve one folder at the same ports."""

import contextlib
import json
import multiprocessing.connection
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.request

import numpy as np
import pytest

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from tfgen.errors import Failure, UserError  # noqa: E402
from tfgen.serving import Client, addresses, workers  # noqa: E402

PATIENCE = 120.0


@contextlib.contextmanager
def serving(folder):
    """(process, URL, gRPC address) of `tfgen serve --workers 2`, in a process group of its own."""
    command = [sys.executable, "-m", "tfgen.cli", "serve", str(folder), "--embedded", "--port", "0", "--grpc-port", "0",
               "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as one:
        try:
            line = one.stdout.readline()
            found = re.search(r"serves cvae: REST (http://\S+)/v1/models/NAME, gRPC (\S+)", line)
            assert found, line + one.stderr.read()
            yield one, *found.groups()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)


def workers_of(pid):
    """Process ids of the servers among the children of a process."""
    lines = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return {int(line.split()[0]) for line in lines.splitlines() if "spawn_main" in line}


def until(true, what):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def counted(url, code="OK"):
    """Requests of both processes, of one interface each."""
    page = urllib.request.urlopen(f"{url}/monitoring/prometheus/metrics", timeout=60).read().decode()
    found = re.findall(rf'requests_total\{{code="{code}",interface="(\w+)",model="cvae"\}} ([\d.]+)', page)
    assert 'tfgen_serving_queue_requests{model="cvae"} 0.0' in page
    return {interface: float(number) for interface, number in found}


@pytest.mark.rotating
def test_processes_share_the_ports(exported, stored):
    """Both answer, alike; one that is killed is replaced; what they count is added up, also of the dead; Ctrl-C ends all."""
    seeds, label = np.arange(5), np.arange(5) % 3
    wanted = stored("sample", seeds, label=label)
    with serving(exported.parents[1]) as (process, url, address):
        for client_of in (f"{url}/cvae", f"grpc://{address}/cvae"):
            made = [Client(client_of)("sample", seeds, label=label) for _ in range(12)]
            for one in made:
                np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-5)
        before = counted(url)
        assert before["REST"] >= 12 and before["gRPC"] >= 12
        first = workers_of(process.pid)
        assert len(first) == 2
        os.kill(min(first), signal.SIGKILL)
        until(lambda: len(workers_of(process.pid) - {min(first)}) == 2, "the dead process is not replaced")
        for _ in range(12):  # the other one answers meanwhile
            np.testing.assert_allclose(Client(f"{url}/cvae")("sample", seeds, label=label), wanted, rtol=1e-4, atol=1e-5)
        assert counted(url)["REST"] >= before["REST"] + 12
        later = workers_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        errors = process.stderr.read()
        assert "ended with code -9: another one takes its place in 1 s" in errors and errors.endswith("stopped\n")
        assert "Traceback" not in errors and not any(pathlib.Path(f"/proc/{pid}").exists() for pid in later)


@pytest.mark.rotating
def test_processes_end_with_their_supervisor(exported):
    with serving(exported.parents[1]) as (process, url, _):
        body = json.dumps({"signature_name": "sample", "instances": [{"seeds": 1, "label": 0}]}).encode()
        assert urllib.request.urlopen(f"{url}/v1/models/cvae:predict", body, timeout=60).status == 200
        found = workers_of(process.pid)
        assert len(found) == 2
        process.kill()
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in found), "processes are left over")


class Sham:
    """A process of a worker that is none: it tells what it is told to, and dies when asked to."""

    def __init__(self, number, given, counts):
        ours, self.told = multiprocessing.Pipe()
        self.sentinel, self.life = multiprocessing.Pipe()
        self.names, self.pipe, self.process, self.begun, self.pid = None, ours, self, workers.time.monotonic(), 1
        Sham.made.append(self)
        told = Sham.tells.pop(0)
        self.exitcode = 1 if isinstance(told, Exception) else None
        if told:
            self.told.send(told)
        else:
            self.die()

    def die(self):
        self.exitcode = -9
        self.life.close()
        self.told.close()

    def is_alive(self):
        return self.exitcode is None

    def terminate(self):
        self.die()

    def join(self, timeout=None):
        assert self.exitcode is not None

    hear, end = workers.Worker.hear, workers.Worker.end


def test_one_that_cannot_start_again_is_tried_again(tmp_path, monkeypatch, capsys):
    """The others serve meanwhile; pauses double; without another one the error ends the service."""
    wait = multiprocessing.connection.wait
    monkeypatch.setattr(workers, "Worker", Sham)
    # A clock that goes 50 times as fast.
    monkeypatch.setattr(workers, "time", types.SimpleNamespace(monotonic=lambda: 50 * time.monotonic()))
    monkeypatch.setattr(multiprocessing.connection, "wait", lambda those, patience: wait(those, patience and patience / 50))
    Sham.made, Sham.tells = [], [["m"], ["m"], UserError("the model is gone"), None, ["m"]]
    with workers.Workers(2, tmp_path, port=0, grpc_port=0) as made:
        assert made.names == ["m"]
        Sham.made[0].die()
        for _ in range(200):
            if len(Sham.made) == 5 and Sham.made[4].names:
                break
            made._look()
        assert [one.names for one in Sham.made] == [["m"], ["m"], None, None, ["m"]]
        found = capsys.readouterr().err.splitlines()
        assert [line.rpartition(" takes its place ")[2] for line in found] == ["in 1 s", "in 2 s", "in 4 s"]
        assert "code -9" in found[0] and "the model is gone" in found[1] and "while it loaded" in found[2]
        Sham.tells += [UserError("gone for good")]
        Sham.made[1].die()
        Sham.made[4].die()
        with pytest.raises(UserError, match="gone for good"):
            for _ in range(20):
                made._look()
    Sham.tells = [["m"], UserError("no model")]
    with pytest.raises(UserError, match="no model"):
        workers.Workers(2, tmp_path, port=0, grpc_port=0)
    assert all(one.exitcode for one in Sham.made)


def test_faults_at_the_start(tmp_path):
    """Before a process is started, or told by the first one; the ports are free again."""
    with pytest.raises(UserError, match="expects a loopback address or a --token, received 0.0.0.0"):
        workers.Workers(2, tmp_path, host="0.0.0.0")
    before = signal.getsignal(signal.SIGTERM)
    with addresses.bound("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(Failure, match="cannot be listened on"):
            workers.Workers(2, tmp_path, port=taken.getsockname()[1], grpc_port=0)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.rotating
def test_a_folder_without_models_is_refused(tmp_path, tfgen):
    code, _, errors = tfgen("serve", tmp_path, "--embedded", "--port", 0, "--grpc-port", 0, "--workers", 2)
    assert code == 2 and "expected a folder of SavedModels" in errors and errors.count("\n") == 1


def test_a_port_is_reserved_for_shared_sockets():
    with addresses.reserved("127.0.0.1", 0, 0) as (port, other):
        assert port != other
        with addresses.bound("127.0.0.1", port, shared=True) as one, addresses.bound("127.0.0.1", port, shared=True) as two:
            one.listen()
            two.listen()
            with pytest.raises(Failure, match="cannot be listened on"), addresses.reserved("127.0.0.1", port):
                pass
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            # The server's side closes first: its end of the connection lingers at the port.
            ready, _, _ = select.select([one, two], [], [], 10)
            ready[0].accept()[0].close()
            client.close()
    for shared in (True, False):  # at once, after whichever server
        with addresses.bound("127.0.0.1", port, shared) as again:
            again.listen()

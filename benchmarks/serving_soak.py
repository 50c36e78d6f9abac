"""A soak of the embedded server: good, malformed, oversized and aborted requests, new versions and a corrupt one.

Every good request must be answered, with the images that a version of that time gives; every bad one with its error or a
closed connection; memory must stay flat; the server must end with exit code 0.
"""

import http.client
import json
import pathlib
import random
import shutil
import socket
import tempfile
import threading
import time
import urllib.parse

import numpy as np

from benchmarks import serving
from tfgen.errors import Failure
from tfgen.serving import Client, saved_model

ROWS = 64  # different seeds
# (body, HTTP code) of requests that are refused.
BAD = [(b"", 400), (b"{", 400), (b"[1]", 400), (b'{"instances": {}}', 400), (b'{"instances": [[1]]}', 400),
       (b'{"signature_name": "nope", "instances": [1]}', 400), (b'{"signature_name": "sample", "instances": [NaN]}', 400),
       (b'{"signature_name": "sample", "instances": ["1"]}', 400), (b'{"signature_name": "sample", "inputs": [[1]]}', 400),
       (b'{"signature_name": "sample", "inputs": [' + b"0," * 5000 + b"0]}", 400), (b" " * (2**24 + 1), 413)]


class Soak:
    """Threads of clients, and what they found.

    Attributes:
        counts: {kind: number of requests}.
        faults: one line per wrong answer, lost good request or wrong error.
    """

    def __init__(self, url, grpc_address):
        self.urls = [f"{url}/vae", f"grpc://{grpc_address}/vae"]
        self.parts, self.stop = urllib.parse.urlsplit(url), threading.Event()
        self.counts, self.faults, self.wanted, self._lock = {"good": 0, "bad": 0, "aborted": 0}, [], [], threading.Lock()

    def expect(self, path):
        """Adds the images of a version to those that may be answered; the last one is the newest."""
        self.wanted.append(saved_model.Served(path)("sample", np.arange(ROWS)))

    def count(self, kind, fault=None):
        with self._lock:
            self.counts[kind] += 1
            self.faults += [fault] if fault else []

    def good(self, index):
        client, generator = Client(self.urls[index % 2]), random.Random(index)
        while not self.stop.is_set():
            seeds = np.array(generator.sample(range(ROWS), generator.randint(1, 8)))
            try:
                made = client("sample", seeds)
            except (Failure, ValueError) as error:
                self.count("good", f"a good request was refused: {error}")
                continue
            right = any(np.allclose(made, wanted[seeds], rtol=1e-3, atol=1e-4) for wanted in self.wanted)
            self.count("good", None if right else f"wrong images of seeds {seeds.tolist()}")

    def bad(self, index):
        generator = random.Random(index)
        while not self.stop.is_set():
            body, wanted = generator.choice(BAD)
            connection = http.client.HTTPConnection(self.parts.hostname, self.parts.port, timeout=60)
            try:
                connection.request("POST", "/v1/models/vae:predict", body)
                answer = connection.getresponse()
                found, text = answer.status, answer.read()
                right = found == wanted and json.loads(text)["error"]
                self.count("bad", None if right else f"{body[:60]!r} was answered with {found} {text[:100]!r}")
            except (ConnectionError, http.client.HTTPException):
                self.count("bad", None if wanted == 413 else f"{body[:60]!r} closed the connection")
            finally:
                connection.close()
            time.sleep(0.005)

    def aborted(self, index):
        """Ends amid the headers, amid the body, and before the answer."""
        body = b'{"signature_name": "sample", "instances": [1, 2, 3]}'
        whole = b"POST /v1/models/vae:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        while not self.stop.is_set():
            for end in (20, len(whole) - 10, len(whole)):
                with socket.create_connection((self.parts.hostname, self.parts.port), timeout=60) as one:
                    one.sendall(whole[:end])
                self.count("aborted")
            time.sleep(0.01)


def resident(process):
    """MB of memory of a process and its children."""
    total, left = 0, [process.pid]
    while left:
        folder = pathlib.Path(f"/proc/{left.pop()}")
        total += int((folder / "status").read_text().split("VmRSS:")[1].split()[0])
        left += [int(pid) for one in folder.glob("task/*/children") for pid in one.read_text().split()]
    return total / 1024


def run(seconds, fast=False, workers=1):
    """Soaks a server of so many workers for so many seconds; two new versions and a corrupt one come at equal distances.

    Raises if a fault was found.

    Returns:
        {kind: number of requests}.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        models, others = folder / "models", folder / "others"
        first = serving.exported(models / "vae", fast)
        later = [serving.exported(others / "vae", fast, seed) for seed in (1, 2)]
        with serving.serving(models, 0, "--queue", "4096", "--workers", str(workers)) as (process, url, address):
            soak = Soak(url, address)
            soak.expect(first)
            threads = [threading.Thread(target=work, args=(index,)) for index, work in enumerate(
                [soak.good] * 4 + [soak.bad] * 2 + [soak.aborted])]
            for thread in threads:
                thread.start()
            memory = _versions(soak, process, models / "vae", later, seconds)
            soak.stop.set()
            for thread in threads:
                thread.join()
            _until_newest(Client(f"{url}/vae"), soak.wanted[-1])
    assert not soak.faults, f"{len(soak.faults)} faults: {soak.faults[:5]}"
    print(f"{soak.counts}: none wrong, none lost; memory of the server, MB: {', '.join(f'{one:.0f}' for one in memory)}")
    return soak.counts | {"memory": memory}


def _until_newest(client, wanted, patience=120.0):
    """Waits until the newest version answers, which may still be loaded."""
    end = time.monotonic() + patience
    while not np.allclose(client("sample", np.arange(ROWS)), wanted, rtol=1e-3, atol=1e-4):
        assert time.monotonic() < end, "the newest version does not answer"
        time.sleep(0.1)


def _versions(soak, process, folder, later, seconds):
    """Brings a version, a corrupt one and another version; returns the server's memory at the end of each fourth, MB."""
    memory = []
    for number in (2, 3, 4, None):
        time.sleep(seconds / 4)
        memory.append(resident(process))
        if number == 3:
            aside = folder.parents[1] / "corrupt"
            shutil.copytree(later[1], aside)
            shard = next((aside / "variables").glob("*.data*"))
            shard.write_bytes(shard.read_bytes()[:100])
            aside.rename(folder / "3")
        elif number:
            soak.expect(later[number // 4])
            later[number // 4].rename(folder / str(number))
    return memory

"""Load on a model server, from a process of its own: closed loops of clients that each send one request after another.

`python -P benchmarks/serving_load.py KIND HOST PORT CLIENTS SECONDS` reads a request from standard input (`http`: all its
bytes; `grpc`: a serialised PredictRequest, sent with the token of TFGEN_TOKEN) and prints {"latencies": [seconds],
"seconds", "failed": number, "first": what the first failure was} as JSON. Run by its path it imports neither TensorFlow nor
tfgen, so that it starts at once and takes little of the machine.
"""

import asyncio
import json
import os
import sys
import threading
import time

TOKEN = "TFGEN_TOKEN"  # environment variable
METHOD = "/tensorflow.serving.PredictionService/Predict"


LENGTH = b"content-length:"


class HttpClient(asyncio.Protocol):
    """One connection that sends a request, reads its answer, and sends the next until `until`.

    Args:
        request: its bytes.
        until: time of `time.perf_counter` after which no further one is sent.
        latencies: list for the seconds of each request.
        failures: list for what was answered instead of 200.
        ended: future that is set when the connection is closed.
    """

    def __init__(self, request, until, latencies, failures, ended):
        self.request, self.until, self.latencies, self.failures, self.ended = request, until, latencies, failures, ended

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.begun, self.head, self.left = time.perf_counter(), b"", None
        self.transport.write(self.request)

    def data_received(self, data):
        if self.left is None:
            head, end, data = (self.head + data).partition(b"\r\n\r\n")
            if not end:
                self.head = head
                return
            self.begin(head, data)
        self.left -= len(data)
        if self.left <= 0:
            now = time.perf_counter()
            self.latencies.append(now - self.begun)
            if now < self.until:
                self.send()
            else:
                self.transport.close()

    def begin(self, head, data):
        """Reads the head of an answer, whose body begins with `data`."""
        if not head.startswith(b"HTTP/1.1 200"):
            self.failures.append((head.partition(b"\r\n")[0] + b" " + data[:200]).decode("utf-8", "replace"))
        lower = head.lower()
        start = lower.find(LENGTH)
        if start < 0:
            self.failures.append("an answer without Content-Length")
            self.until = 0.0
        self.left = int(lower[start + len(LENGTH):].split(b"\r\n", 1)[0]) if start >= 0 else 0

    def connection_lost(self, error):
        if error is not None:
            self.failures.append(f"a closed connection ({error})")
        self.ended.set_result(None)


async def http(host, port, request, clients, seconds):
    """(latencies, failures) of HTTP clients."""
    loop, latencies, failures, until = asyncio.get_running_loop(), [], [], time.perf_counter() + seconds
    ended = [loop.create_future() for _ in range(clients)]
    for one in ended:
        await loop.create_connection(lambda one=one: HttpClient(request, until, latencies, failures, one), host, port)
    for one in ended:
        await one
    return latencies, failures


def grpc_clients(host, port, request, clients, seconds):
    """(latencies, failures) of gRPC clients, a thread and a channel each."""
    import grpc

    latencies, failures, until = [], [], time.perf_counter() + seconds
    metadata = [("authorization", f"Bearer {os.environ[TOKEN]}")] if TOKEN in os.environ else []

    def work():
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"{host}:{port}", options=options) as channel:
            call = channel.unary_unary(METHOD)
            while time.perf_counter() < until:
                begun = time.perf_counter()
                try:
                    call(request, timeout=60, metadata=metadata)
                except grpc.RpcError as error:
                    failures.append(f"{error.code().name} {error.details()}")
                latencies.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, failures


def main():
    kind, host, port, clients, seconds = sys.argv[1:]
    request, given = sys.stdin.buffer.read(), (host, int(port))
    begun = time.perf_counter()
    if kind == "http":
        try:
            import uvloop as loops
        except ImportError:
            loops = asyncio
        latencies, failures = loops.run(http(*given, request, int(clients), float(seconds)))
    else:
        latencies, failures = grpc_clients(*given, request, int(clients), float(seconds))
    json.dump({"latencies": latencies, "seconds": time.perf_counter() - begun, "failed": len(failures),
               "first": failures[0][:300] if failures else ""}, sys.stdout)


if __name__ == "__main__":
    main()

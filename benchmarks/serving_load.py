"""Load on a model server, from a process of its own: closed loops of clients that each send one request after another.

`python -m benchmarks.serving_load KIND HOST PORT CLIENTS SECONDS` reads a request from standard input (`http`: all its
bytes; `grpc`: a serialised PredictRequest) and prints {"latencies": [seconds], "seconds", "failed"} as JSON. It imports
neither TensorFlow nor tfgen, so that it starts at once and takes little of the machine.
"""

import asyncio
import json
import sys
import threading
import time

METHOD = "/tensorflow.serving.PredictionService/Predict"


class HttpClient(asyncio.Protocol):
    """One connection that sends a request, reads its answer, and sends the next until `until`."""

    def __init__(self, request, until, latencies, ended):
        self.request, self.until, self.latencies, self.ended = request, until, latencies, ended
        self.received, self.wanted, self.failed = 0, None, 0

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.begun, self.received, self.wanted = time.perf_counter(), 0, None
        self.transport.write(self.request)

    def data_received(self, data):
        if self.wanted is None:
            head, _, rest = data.partition(b"\r\n\r\n")
            self.failed += not head.startswith(b"HTTP/1.1 200")
            lower = head.lower()
            start = lower.index(b"content-length:") + 15
            self.wanted, data = int(lower[start:].split(b"\r\n", 1)[0]), rest
        self.received += len(data)
        if self.received >= self.wanted:
            now = time.perf_counter()
            self.latencies.append(now - self.begun)
            if now < self.until:
                self.send()
            else:
                self.transport.close()

    def connection_lost(self, error):
        self.failed += error is not None
        self.ended.set_result(self.failed)


async def http(host, port, request, clients, seconds):
    """(latencies, failures) of HTTP clients."""
    loop, latencies, until = asyncio.get_running_loop(), [], time.perf_counter() + seconds
    ended = [loop.create_future() for _ in range(clients)]
    for one in ended:
        await loop.create_connection(lambda one=one: HttpClient(request, until, latencies, one), host, port)
    return latencies, sum([await one for one in ended])


def grpc_clients(host, port, request, clients, seconds):
    """(latencies, failures) of gRPC clients, a thread and a channel each."""
    import grpc

    latencies, failures, until = [], [], time.perf_counter() + seconds

    def work():
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"{host}:{port}", options=options) as channel:
            call = channel.unary_unary(METHOD)
            while time.perf_counter() < until:
                begun = time.perf_counter()
                try:
                    call(request, timeout=60)
                except grpc.RpcError as error:
                    failures.append(str(error.code()))
                latencies.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, len(failures)


def main():
    kind, host, port, clients, seconds = sys.argv[1:]
    request, given = sys.stdin.buffer.read(), (host, int(port))
    begun = time.perf_counter()
    if kind == "http":
        try:
            import uvloop as loops
        except ImportError:
            loops = asyncio
        latencies, failed = loops.run(http(*given, request, int(clients), float(seconds)))
    else:
        latencies, failed = grpc_clients(*given, request, int(clients), float(seconds))
    json.dump({"latencies": latencies, "seconds": time.perf_counter() - begun, "failed": failed}, sys.stdout)


if __name__ == "__main__":
    main()

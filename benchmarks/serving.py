"""Speed of a model server on loopback, as a share of calling the loaded SavedModel directly, interleaved in one run.

`python -m benchmarks.serving` exports a VAE of 28x28 images with the default values of its recipe (weights do not matter),
starts `tfgen serve --embedded`, with one process and with a worker per core, and measures in rounds: the SavedModel
called at batch 32 in this process, then clients in a process of their own. Shares are within a round; medians over rounds,
with ranges. `--url http://HOST:PORT/NAME` measures a server that runs, such as TF Serving on a GPU
(`benchmarks.serving_url`); `--soak MINUTES` looks for wrong answers instead (`benchmarks.serving_soak`).
"""

import argparse
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

import keras
import numpy as np
import tensorflow as tf

from benchmarks import machine, timing
from tfgen import recipes
from tfgen.data import DataSpec
from tfgen.errors import Failure, UserError
from tfgen.figures import records
from tfgen.serving import Client, export, saved_model
from tfgen.serving.transports import TOKEN

BATCH = 32  # rows of the direct calls
LOAD = pathlib.Path(__file__).with_name("serving_load.py")


@dataclasses.dataclass(frozen=True)
class Case:
    """Clients that each send one request after another.

    Attributes:
        title: for the table.
        kind: `"json"`, `"npz"` or `"grpc"`.
        verb: what is asked.
        clients: their number.
        rows: rows per request.
        floor: the least share of direct calls; None: none is set.
        shared: whether a server with a worker per core is asked.
    """

    title: str
    kind: str
    verb: str
    clients: int
    rows: int
    floor: float | None = None
    shared: bool = False


CASES = {
    "rest_sample": Case("REST, JSON: seeds to images", "json", "sample", 32, 1, 0.4),
    "rest_reconstruct": Case("REST, JSON: images to images", "json", "reconstruct", 32, 1),
    "rest_npz_reconstruct": Case("REST, .npz: images to images", "npz", "reconstruct", 32, 1),
    "grpc_sample": Case("gRPC: seeds to images", "grpc", "sample", 8, 32, 0.75),
    "grpc_reconstruct": Case("gRPC: images to images", "grpc", "reconstruct", 8, 32, 0.75),
}
CASES |= {f"{name}_workers": dataclasses.replace(case, title=f"{case.title}, workers", shared=True)
          for name, case in CASES.items()}


def inputs_of(model, verb, rows):
    """{input: array} for a verb of a `Client` or `Served`: seeds 0, 1, ..., other whole numbers 0, uniform numbers else."""
    generator, made = np.random.default_rng(0), {}
    for name, shape in model.shapes[verb].items():
        made[name] = (np.arange(rows) if name == "seeds" else
                      generator.random((rows, *[side or 7 for side in shape]), np.float32))
    for name, option in model.options[verb].items():
        if option.dtype == "string":
            made[name] = np.full(rows, (*option.examples, "")[0], object)
            continue
        value = option.default if option.default is not None else option.low if abs(option.low) < 1e9 else 0
        made[name] = np.full(rows, value, option.dtype)
    return made


def request_of(case, url, inputs):
    """The bytes of one request of a case."""
    parts = urllib.parse.urlsplit(url)
    name = parts.path.strip("/")
    if case.kind == "grpc":
        from tensorflow_serving.apis import predict_pb2

        made = predict_pb2.PredictRequest(inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()})
        made.model_spec.name, made.model_spec.signature_name = name, case.verb
        return made.SerializeToString()
    if case.kind == "npz":
        file = io.BytesIO()
        np.savez(file, **{key: value.astype(str) if value.dtype == object else value for key, value in inputs.items()})
        query, kind, body = f"?signature_name={case.verb}", "application/npz", file.getvalue()
    else:
        columns = {key: value.tolist() for key, value in inputs.items()}
        rows = [{key: column[row] for key, column in columns.items()} for row in range(case.rows)]
        rows = [next(iter(row.values())) if len(row) == 1 else row for row in rows]
        # As short as float32 is exact.
        body = re.sub(rb"\d+\.\d+(e-?\d+)?", lambda found: str(np.float32(found[0])).encode(),
                      json.dumps({"signature_name": case.verb, "instances": rows}, separators=(",", ":")).encode())
        query, kind = "", "application/json"
    token = f"Authorization: Bearer {os.environ[TOKEN]}\r\n" if TOKEN in os.environ else ""
    return (f"POST /v1/models/{name}:predict{query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {kind}\r\n"
            f"Accept: {kind}\r\n{token}Content-Length: {len(body)}\r\n\r\n").encode() + body


def load(case, host, port, request, seconds):
    """Runs the clients of a case; returns what `serving_load` prints, and "rows_per_s"; raises a `Failure` if one fails."""
    # By its path: a module of the package `benchmarks` would import tfgen, and so TensorFlow, first.
    command = [sys.executable, "-P", str(LOAD), "grpc" if case.kind == "grpc" else "http", host, str(port),
               str(case.clients), str(seconds)]
    ended = subprocess.run(command, input=request, capture_output=True, check=False)
    if ended.returncode:
        raise Failure(f"the clients of {host}:{port} failed: {ended.stderr.decode()[-2000:]}")
    found = json.loads(ended.stdout)
    if found["failed"]:
        raise Failure(f"{found['failed']} of {len(found['latencies'])} requests failed, first with {found['first']}")
    return found | {"rows_per_s": len(found["latencies"]) * case.rows / found["seconds"]}


def direct(model, verb, seconds):
    """Rows per second of the SavedModel called directly at batch 32, arrays in and out."""
    inputs = inputs_of(model, verb, BATCH)
    signature, calls, begun = model.loaded.signatures[verb], 0, time.perf_counter()
    while (now := time.perf_counter()) - begun < seconds:
        made = signature(**{key: tf.constant(array) for key, array in inputs.items()})
        made = {key: value.numpy() for key, value in made.items()}
        calls += 1
    return BATCH * calls / (now - begun)


def measure(case, url, grpc_address, model, rounds, seconds):
    """{quantity: spread} of a case; shares of direct calls if `model` is a `Served`."""
    client, parts = Client(url), urllib.parse.urlsplit(url)
    host, port = grpc_address.rsplit(":", 1) if case.kind == "grpc" else (parts.hostname, parts.port)
    request = request_of(case, url, inputs_of(client, case.verb, case.rows))
    load(case, host, port, request, seconds / 2)
    if model:
        direct(model, case.verb, seconds / 2)
    found, shares = [], []
    for _ in range(rounds):
        alone = direct(model, case.verb, seconds) if model else None
        found.append(load(case, host, port, request, seconds))
        shares += [found[-1]["rows_per_s"] / alone] if model else []
    values = {"rows_per_s": timing.spread(one["rows_per_s"] for one in found)}
    for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        values[name] = timing.spread(1000 * float(np.quantile(one["latencies"], part)) for one in found)
    return values | ({"share_of_direct": timing.spread(shares)} if shares else {})


def show(case, values):
    """Prints the row of a case."""
    rate, half, most = (values[key]["median"] for key in ("rows_per_s", "p50_ms", "p99_ms"))
    line = f"  {case.title:43}{rate:9.0f} images/s   p50 {half:7.1f} ms   p99 {most:7.1f} ms"
    if share := values.get("share_of_direct"):
        line += f"   {share['median']:.2f} ({share['min']:.2f} … {share['max']:.2f}) of direct calls"
        line += f"; floor {case.floor}: {'met' if share['median'] >= case.floor else 'MISSED'}" if case.floor else ""
    print(line, flush=True)


def exported(folder, fast, seed=0):
    """Exports a VAE to `folder`; returns the path of its version."""
    keras.utils.set_random_seed(seed)
    shape, values = ((8, 8, 1), {"latent_dim": 3, "filters": 4, "levels": 1}) if fast else ((28, 28, 1), {})
    return export.export(recipes.find("vae").model(DataSpec("random", shape, 10, {"train": 60_000}), **values), folder)


@contextlib.contextmanager
def serving(folder, threads=0, *options):
    """Context manager: (process, URL without a name, gRPC address) of an embedded server; it must end with exit code 0."""
    command = [sys.executable, "-m", "tfgen.cli", "serve", str(folder), "--embedded", "--port", "0", "--grpc-port", "0",
               "--threads", str(threads), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if (found := re.search(r"(http://\S+)/v1/models/NAME, gRPC (\S+)", line)) is None:
                raise Failure(f"expected the addresses of `{shlex.join(command)}`, received {line!r}: run it to see why")
            yield process, *found.groups()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, f"the server ended with {process.returncode}"
        finally:
            process.kill()


def run(fast=False, threads=0, only=()):
    """Measures the embedded server; writes a record unless fast; returns {case: {quantity: spread}}."""
    rounds, seconds, made = (1, 0.3, {}) if fast else (7, 3.0, {})
    with tempfile.TemporaryDirectory() as folder:
        model = saved_model.Served(exported(pathlib.Path(folder) / "vae", fast))
        workers = max(2, os.cpu_count())
        with serving(folder, threads) as one, serving(folder, 0, "--workers", str(workers)) as several:
            print(f"\n{os.cpu_count()} cores, shared by the server and its clients; {rounds} rounds of {seconds:g} s; "
                  f"{workers} workers")
            for name, case in CASES.items():
                if not only or name in only:
                    _, url, address = several if case.shared else one
                    made[name] = measure(case, f"{url}/vae", address, model, rounds, seconds)
                    show(case, made[name])
    if not fast and not only:
        records.record("bench-serving", flat(made), title="Embedded model server beside direct calls of the SavedModel",
                       command="python -m benchmarks.serving", seeds=[0],
                       budget={"rounds": rounds, "seconds_a_round": seconds},
                       data={"name": "random", "image_shape": [28, 28, 1]},
                       machine=machine.described(threads=threads or os.cpu_count(), workers=workers),
                       published="none; ratios within one run: medians over rounds, with ranges",
                       marks={name: case.floor for name, case in CASES.items() if case.floor},
                       missed={"rest_sample_share_of_direct": "clients and server share the cores; HTTP and JSON of one "
                               "image take longer than the model"})
    return made


def flat(made):
    """{case: {quantity: spread}} -> {case_quantity: median, case_quantity_min: ..., case_quantity_max: ...}."""
    return {f"{name}_{key}" if part == "median" else f"{name}_{key}_{part}": number for name, one in made.items()
            for key, spread in one.items() for part, number in spread.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="one short round, no record: to see that it runs")
    parser.add_argument("--threads", type=int, default=0, help="threads of one operation in the server; 0: one per core")
    parser.add_argument("--only", nargs="*", default=(), choices=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--url", help="http://HOST:PORT/NAME of a server that runs, instead of the embedded one")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="gRPC of that server")
    parser.add_argument("--model", type=pathlib.Path, help="the SavedModel of --url, to call directly beside it")
    parser.add_argument("--record", type=pathlib.Path, metavar="FILE", help="a JSON file for what --url measures")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="look for wrong answers for so long")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server that --soak asks")
    arguments = parser.parse_args()
    if arguments.soak:
        from benchmarks import serving_soak

        serving_soak.run(60 * arguments.soak, workers=arguments.workers)
    elif arguments.url:
        from benchmarks import serving_url

        try:
            serving_url.run(arguments.url, arguments.grpc, arguments.model, arguments.record)
        except (UserError, Failure) as error:
            sys.exit(str(error))
    else:
        run(arguments.fast, arguments.threads, arguments.only)


if __name__ == "__main__":
    main()

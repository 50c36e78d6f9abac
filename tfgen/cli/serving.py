"""The command that serves SavedModels."""

import contextlib
import os
import pathlib
import sys
from typing import Annotated

import typer

from tfgen.cli import options
from tfgen.cli.lazy import server
from tfgen.errors import UserError

# Options of the embedded server that tensorflow_model_server has no equal of.
EMBEDDED = ("host", "token", "batch_wait", "queue", "request_limit", "threads", "workers")
NEEDED = ("uvicorn", "uvloop", "httptools", "orjson", "grpc", "tensorflow_serving", "prometheus_client")


def serve(context: typer.Context,
          folder: Annotated[pathlib.Path, typer.Argument(
              help="A folder of SavedModels, NAME/VERSION/saved_model.pb, or the folder of one model's versions.")],
          host: Annotated[str, typer.Option(help="Address to listen on; any but loopback needs --token.")] = "127.0.0.1",
          port: Annotated[int, typer.Option(min=0, max=65535, help="Port of REST; 0: a free one.")] = 8501,
          grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0: a free one.")] = 8500,
          token: Annotated[str | None, typer.Option(
              envvar="TFGEN_TOKEN", help="Clients must send 'Authorization: Bearer TOKEN'.")] = None,
          embedded: Annotated[bool, typer.Option(
              "--embedded", help="The embedded server, even if tensorflow_model_server is installed.")] = False,
          max_batch: Annotated[int | None, typer.Option(
              min=1, help="Largest number of rows per batch; default: the last of --batch-sizes, or 64 (of "
                          "tensorflow_model_server the largest with which a model warms up).")] = None,
          batch_sizes: options.BatchSizes = None,
          batch_wait: Annotated[float, typer.Option(
              min=0.0, help="Milliseconds for which a batch waits for more rows.")] = 0.0,
          queue: Annotated[int, typer.Option(min=1, help="Largest number of requests per model that wait.")] = 1024,
          request_limit: Annotated[int, typer.Option(min=1, help="Largest size of a request, MiB.")] = 16,
          threads: Annotated[int, typer.Option(
              min=0, help="Threads of one TensorFlow operation per worker; 0: an equal share of the cores.")] = 0,
          workers: Annotated[int, typer.Option(
              min=1, help="Processes of the embedded server, each with all models: REST scales with them.")] = 1):
    """Serves SavedModels through the REST and gRPC interfaces of TF Serving.

    If tensorflow_model_server is on the PATH, it is started; else an embedded server takes its place. New versions are
    picked up while it runs; Ctrl-C or SIGTERM ends it after the requests in flight.

    Example: tfgen serve saved_models
    """
    # None of these needs TensorFlow, which a supervisor of workers does without.
    from tfgen.serving import batching, original
    from tfgen.serving import workers as processes

    sizes = options.numbers(batch_sizes, "--batch-sizes")
    most = batching.largest_of(sizes, max_batch, 64)
    if not embedded and original.program():
        given = [f"--{name.replace('_', '-')}" for name in EMBEDDED
                 if context.get_parameter_source(name).name != "DEFAULT"]
        if given:
            raise UserError(f"tensorflow_model_server knows no {given[0]}, received it: add --embedded, or leave it out")
        command = original.command(folder, port, grpc_port, max_batch, sizes)
        print(f"starting {command[0]}, which listens on every address of this machine (--embedded: on loopback alone)",
              flush=True)
        os.execv(command[0], command)
    require_extra()
    given = {"folder": folder, "host": host, "port": port, "grpc_port": grpc_port, "token": token,
             "batching": batching.Batching(most=most, wait=batch_wait / 1000, sizes=sizes, queue=queue), "threads": threads,
             "limit": request_limit * 2**20}
    with processes.Workers(workers, **given) if workers > 1 else contextlib.nullcontext(server.Server(**given)) as made:
        if made.names:
            why = "as asked" if embedded else "as tensorflow_model_server is not on the PATH"
            print(f"the embedded server ({why}) serves {', '.join(made.names)}: REST "
                  f"http://{host}:{made.port}/v1/models/NAME, gRPC {host}:{made.grpc_port}", flush=True)
            made.run()
    print("stopped", file=sys.stderr)


def require_extra():
    """Raises a `UserError` unless the packages of the embedded server are installed."""
    import importlib.util

    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(f"the embedded server expects the packages of tfgen's extra 'serving', received none of "
                        f"{', '.join(missing)}: pip install 'tfgen[serving]'")

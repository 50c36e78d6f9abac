"""Speed of a model server that runs already, such as TF Serving on a GPU: clients by numbers and requests by rows."""

import pathlib

from benchmarks import serving
from tfgen.errors import Failure
from tfgen.figures import records
from tfgen.serving import Client, saved_model

LOADS = ((1, 1), (8, 1), (32, 1), (1, 32), (8, 32))  # (clients, rows per request)
KINDS = {"json": "REST, JSON", "npz": "REST, .npz", "grpc": "gRPC"}


def cases(client, grpc):
    """[(name, `serving.Case`)]: the verbs `sample` and `reconstruct` of a `Client`, or its first one, each sent in every way
    under every load; grpc: whether the address of gRPC is known."""
    verbs = [name for name in ("sample", "reconstruct") if name in client.names] or client.names[:1]
    kinds = ["json", *["npz"] * client.transport.ours, *["grpc"] * grpc]
    return [(f"{kind}_{verb}_{clients}x{rows}", serving.Case(f"{KINDS[kind]}: {verb}", kind, verb, clients, rows))
            for verb in verbs for kind in kinds for clients, rows in LOADS]


def run(url, grpc_address=None, folder=None, record=None, rounds=3, seconds=2.0):
    """Measures a server and prints a table; a load that it refuses is named and passed over.

    Args:
        url: of a model, http://HOST:PORT/NAME.
        grpc_address: HOST:PORT of gRPC; None: REST alone is measured.
        folder: the same SavedModel on this machine, to call directly in the same rounds; None: no shares are told.
        record: path of a JSON file for the values; None: none is written.
        rounds, seconds: of each load.

    Returns:
        {name of a load: {quantity: spread}}.

    Raises:
        UserError: for a URL of another form, or of no model.
        Failure: for a server that does not answer.
    """
    client, model, made = Client(url), saved_model.Served(folder) if folder else None, {}
    print(f"{'request':26}{'clients':>8}{'rows':>6}{'images/s':>11}{'p50 ms':>9}{'p99 ms':>9}"
          + ("   share of direct calls" if model else ""))
    known = cases(client, bool(grpc_address))
    for name, case in known:
        line = f"{case.title:26}{case.clients:8}{case.rows:6}"
        try:
            made[name] = serving.measure(case, url, grpc_address, model, rounds, seconds)
        except Failure as error:
            print(f"{line}   {error}", flush=True)
            continue
        rate, half, most = (made[name][key]["median"] for key in ("rows_per_s", "p50_ms", "p99_ms"))
        share = f"{made[name]['share_of_direct']['median']:12.2f}" if model else ""
        print(f"{line}{rate:11.0f}{half:9.1f}{most:9.1f}{share}", flush=True)
    if record:
        path = pathlib.Path(record)
        records.record(path.stem, serving.flat(made), path.parent, title=f"Model server {url}",
                       command=f"python -m benchmarks.serving --url {url}" + f" --grpc {grpc_address}" * bool(grpc_address),
                       budget={"rounds": rounds, "seconds_a_round": seconds}, machine={"device": "the server's"},
                       loads={name: [case.clients, case.rows] for name, case in known if name in made})
        print(f"wrote {path}")
    return made

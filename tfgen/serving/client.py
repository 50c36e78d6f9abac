"""A client of a model server, TF Serving's or the embedded one: verbs by name, numpy in and out."""

import os
import re
import urllib.parse

import numpy as np
import tensorflow as tf

from tfgen import verbs
from tfgen.errors import UserError
from tfgen.serving.saved_model import Exported
from tfgen.serving.transports import TOKEN, Grpc, Rest
from tfgen.verbs.table import Option, Text, ends_of

# Bytes of the inputs and outputs of one request, so that servers accept it.
LARGEST = 2**22


class AnyText(Text):
    """A text whose words the server does not tell: it checks them itself."""

    def check(self, name, text):
        pass


def address(path):
    """The URL of a model that `path` is, also with one slash after the scheme, as `pathlib` writes it; else None."""
    found = re.fullmatch(r"(https?|grpcs?):/+(.+)", str(path))
    return f"{found[1]}://{found[2]}" if found else None


class Client(Exported):
    """The verbs of a model on a server.

    Args:
        url: `http://HOST:PORT/NAME` or `grpc://HOST:PORT/NAME` (`https`, `grpcs`: encrypted), with `/versions/N` or
            `/labels/LABEL` for one that is not the newest version.
        token: sent as `Authorization: Bearer TOKEN`; None: that of the environment variable `TFGEN_TOKEN`, if it is set.

    Attributes:
        signatures: {name: `versions.Signature`}, of verbs and all others.

    Raises:
        UserError: for a URL of another form, and whatever the server refuses.
        Failure: for a server that cannot be reached.
    """

    def __init__(self, url, token=None):
        self.transport = transport_of(url, token or os.environ.get(TOKEN))
        self.signatures = self.transport.signatures()
        self.describe(self.transport.about(), {name: _rows(one) for name, one in self.signatures.items()})
        if not self.about and "z" in getattr(self.signatures.get("decode"), "inputs", ()):
            self.latent_dtype = self.signatures["decode"].inputs["z"][1].name
        self.untold = {}
        for name in self.names:
            required = {field.name for field in verbs.verb_of(self, name).inputs}
            self.untold[name] = sorted(self.signatures[name].inputs.keys() - required - self.options[name].keys())
            self.options[name] |= {key: _unknown(self.signatures[name].inputs[key][1]) for key in self.untold[name]}

    def outputs(self, name, *inputs, batch_size=128, **options):
        """As `Verbs.outputs`; options whose defaults the server does not tell must be given."""
        if missing := [key for key in self.untold.get(name, ()) if options.get(key) is None]:
            raise UserError(f"'{name}' on this server expects option '{missing[0]}', whose default it does not tell, "
                            f"received none: give it, as by --option {missing[0]}=VALUE")
        row = sum(np.asarray(rows)[:1].nbytes for rows in inputs) + self._output_bytes(name)
        return super().outputs(name, *inputs, batch_size=max(1, min(batch_size, LARGEST // max(row, 1))), **options)

    def _output_bytes(self, name):
        specs = self.signatures[name].outputs.values() if name in self.names else ()
        return sum(4 * int(np.prod([side or 1 for side in (shape or ())[1:]])) for _, _, shape in specs)

    def call(self, name, options):
        keys = [*(field.name for field in verbs.verb_of(self, name).inputs), *options]

        def run(*columns):
            made = self.transport.predict(name, {key: column.numpy() for key, column in zip(keys, columns, strict=True)})
            return {key: tf.constant(value) for key, value in made.items()}

        return run

    def predict(self, name, **inputs):
        """Runs any signature: {input: array} -> {output: array}, without checks or batches of its own."""
        if name not in self.signatures:
            raise UserError(f"this model has no signature '{name}'; it has {', '.join(self.signatures)}")
        return self.transport.predict(name, {key: np.asarray(value, self.signatures[name].inputs[key][1])
                                             if key in self.signatures[name].inputs else np.asarray(value)
                                             for key, value in inputs.items()})


def transport_of(url, token):
    """The `Rest` or `Grpc` of a model's URL."""
    parts = urllib.parse.urlsplit(str(url))
    path = re.fullmatch(r"/(?:v1/models/)?([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/?", parts.path)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https", "grpc", "grpcs") or not path or not parts.hostname or not port:
        raise UserError(f"expected http://HOST:PORT/NAME or grpc://HOST:PORT/NAME, received {url}: give a model's URL")
    kind = Rest if parts.scheme.startswith("http") else Grpc
    return kind(parts.hostname, port, parts.scheme.endswith("s"), urllib.parse.unquote(path[1]),
                int(path[2]) if path[2] else None, path[3] or "", token)


def _rows(signature):
    """({input: shape of a row}, {output: shape of a row}) of a signature."""
    return tuple({name: (shape or ())[1:] for name, (_, _, shape) in side.items()}
                 for side in (signature.inputs, signature.outputs))


def _unknown(dtype):
    """An `Option` or `Text` of which only the dtype is known."""
    if dtype.kind == "O":
        return AnyText((), 0, (), "")
    return Option(dtype.name, None, *ends_of(dtype), "")

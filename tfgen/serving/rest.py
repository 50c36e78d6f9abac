"""TF Serving's REST API as an ASGI application: status, metadata, predict; .npz files beside JSON."""

import asyncio
import hmac
import re
import time
import urllib.parse
import zlib

import orjson

from tfgen.serving import answers, json_tensors
from tfgen.serving.refusals import of, refuse, stopping

NPZ, JSON, TEXT = b"application/npz", b"application/json", b"text/plain; version=0.0.4"
METRICS = "/monitoring/prometheus/metrics"
SPEC = r"(?i:/v1/models)/([^/:]+)(?:/(?i:versions)/(\d+)|/(?i:labels)/([^/:]+))?"
PREDICT = re.compile(SPEC + r":(?i:(classify|regress|predict))")
STATUS = re.compile(SPEC + r"(?:/(?i:(metadata|about)))?")
# Bodies of more bytes are parsed off the event loop, and answers with more numbers written there.
HEAVY = 2**18


class Waiting:
    """Requests of one event loop that wait for the batches' threads."""

    def __init__(self, loop):
        self._loop, self._futures = loop, {}

    def told(self, tasks):
        """Wakes the loop up once for all tasks of a batch."""
        try:
            self._loop.call_soon_threadsafe(self._settle, tasks)
        except RuntimeError:  # the loop has ended: nobody waits
            pass

    def _settle(self, tasks):
        for task in tasks:
            future = self._futures.pop(task, None)
            if future is not None and not future.done():
                future.set_result(None)

    async def end(self, task):
        """Waits for a task; returns its outputs or raises its error."""
        self._futures[task] = future = self._loop.create_future()
        await future
        if task.error is not None:
            raise task.error
        return task.made


class Gone(Exception):
    """The client has closed the connection."""


class Rest:
    """The ASGI application.

    Args:
        models: a `Models`.
        metrics: a `Metrics`.
        token: what clients send as `Authorization: Bearer TOKEN`; None: nothing.
        limit: largest size of a request's body in bytes, as sent and decompressed.
    """

    def __init__(self, models, metrics, token=None, limit=2**24):
        self.models, self.metrics, self.limit = models, metrics, limit
        self._secret = None if token is None else f"Bearer {token}".encode()
        self._waiting = None

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        begun, path = time.perf_counter(), scope["raw_path"].decode("latin-1")
        name, code, http, further = "", "OK", 200, ()
        try:
            name, kind, body = await self._answer(scope, path, dict(scope["headers"]), receive)
        except Gone:
            return
        except (Exception, asyncio.CancelledError) as error:
            # Requests are cancelled by uvicorn alone, at the end.
            refused = stopping() if isinstance(error, asyncio.CancelledError) else of(error)
            if refused.code == "INTERNAL":
                print(f"tfgen serve: {scope['method']} {path[:200]}: {refused}", flush=True)
            code, http, kind, body = refused.code, refused.http, JSON, orjson.dumps({"error": str(refused)})
            if http == 413:  # the rest of the body is not read
                further = ((b"connection", b"close"),)
        self.metrics.request(name, "REST", code, time.perf_counter() - begun)
        await send({"type": "http.response.start", "status": http, "headers": [
            (b"content-type", kind), (b"content-length", b"%d" % len(body)), *further]})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope, path, headers, receive):
        """(name of the model that answered, content type, body) of the answer to a request; headers: {name: value}."""
        if self._secret and not hmac.compare_digest(headers.get(b"authorization", b""), self._secret):
            refuse("expected the header 'Authorization: Bearer TOKEN' with the server's token", "UNAUTHENTICATED")
        if scope["method"] == "POST" and (found := PREDICT.fullmatch(path)):
            name, number, label = _spec(*found.groups()[:3])
            body = await self._body(headers, receive)
            return name, *await self._predict(scope, headers, body, name, number, label, found[4].lower())
        if scope["method"] == "GET" and path == METRICS:
            return "", TEXT, self.metrics.page()
        if not path.lower().startswith("/v1/"):
            refuse(f"Not Found: {path[:200]}; expected /v1/models/NAME", "NOT_FOUND")
        if scope["method"] == "GET" and (found := STATUS.fullmatch(path)):
            return self._described(*found.groups())
        refuse(f"Malformed request: {scope['method']} {path[:200]}")

    def _described(self, name, number, label, what):
        """Status or metadata of a model, or the record of its export."""
        name, number, label = _spec(name, number, label)
        made = answers.JSON[(what or "status").lower()](self.models.model(name), number, label)
        return name, JSON, made.encode()

    async def _body(self, headers, receive):
        """The bytes of the body.

        Raises:
            Gone: if the client has closed the connection.
            Refused: for a body that is too large (413) or not one file of gzip as it says.
        """
        large = f"a request expects at most {self.limit} bytes: send fewer rows, or raise --request-limit"
        if int(headers.get(b"content-length", 0)) > self.limit:
            refuse(large, http=413)
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunks.append(message["body"])
            size, more = size + len(chunks[-1]), message["more_body"]
            if size > self.limit:
                refuse(large, http=413)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if coding := headers.get(b"content-encoding"):
            if coding.lower() != b"gzip":
                refuse(f"Content-Encoding expects gzip, received {coding[:50].decode('latin-1')}", http=415)
            try:
                unzipped = zlib.decompressobj(wbits=31)
                body = unzipped.decompress(body, self.limit + 1)
            except zlib.error as error:
                refuse(f"the body is not compressed with gzip ({error})")
            if len(body) > self.limit:
                refuse(large, http=413)
            if not unzipped.eof or unzipped.unused_data:
                refuse("the body expects one file of gzip, received " + (
                    "further bytes behind it" if unzipped.eof else "one without its end: send all of it"))
        return body

    async def _predict(self, scope, headers, body, name, number, label, method):
        """(content type, body) of the answer to a prediction."""
        version = self.models.model(name).take(number, label)
        try:
            npz = headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == NPZ
            signature_name, inputs, rows = await _where(len(body), self._read, scope, body, npz, version, method)
            if npz:
                inputs = await _where(inputs.size, inputs.arrays)
        except BaseException:
            version.leave()
            raise
        waiting = self._loop()
        made = await waiting.end(self.models.put(version, name, signature_name, inputs, (), waiting.told))
        numbers = sum(array.size for array in made.values())
        if NPZ in headers.get(b"accept", b""):
            return NPZ, await _where(numbers, json_tensors.write_npz, made)
        return JSON, await _where(numbers, json_tensors.dumps, made, rows)

    def _read(self, scope, body, npz, version, method):
        """(signature's name, inputs, whether rows were sent) of a body; inputs are an `Npz` if npz."""
        found = dict(urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"))) if npz else json_tensors.parse(body)
        name = found.get("signature_name", "")
        if not isinstance(name, str):
            refuse("JSON Value: not formatted correctly. 'signature_name' key must be a string value.")
        if method != "predict":
            answers.refuse_method(version, name, method, "examples" in found)
        signature = version.signature(name)
        if signature is None:
            refuse(f'Serving signature name: "{name[:200] or "serving_default"}" not found in signature def; it has '
                   f"{', '.join(version.signatures)}")
        if npz:
            return name, json_tensors.Npz(body, signature, self.models.batching.rows, self.limit), False
        return name, *json_tensors.inputs_of(found, signature)

    def _loop(self):
        if self._waiting is None:
            self._waiting = Waiting(asyncio.get_running_loop())
        return self._waiting


async def _where(size, function, *given):
    """Calls a function here, or in another thread if its data is large."""
    return function(*given) if size < HEAVY else await asyncio.to_thread(function, *given)


def _spec(name, number, label):
    """(name, version or None, label) of a path's parts."""
    digits = number and "0" + number.lstrip("0")[:20]
    if number and int(digits) >= 2**63:
        refuse(f"Failed to convert version: {number[:50]} to numeric.")
    return urllib.parse.unquote(name), int(digits) if number else None, urllib.parse.unquote(label or "")

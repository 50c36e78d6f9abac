"""TF Serving's REST API as an ASGI application: status, metadata, predict; .npz files beside JSON."""

import asyncio
import hmac
import re
import time
import urllib.parse
import zlib

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tfgen.serving import answers, json_tensors
from tfgen.serving.refusals import Refused, of, refuse

NPZ = "application/npz"
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


class Rest:
    """The ASGI application.

    Args:
        models: a `Models`.
        metrics: a `Metrics`.
        token: what clients send as `Authorization: Bearer TOKEN`; None: nothing.
        limit: largest size of a request's body in bytes, as sent and decompressed.
        patience: seconds within which a body must have arrived.
    """

    def __init__(self, models, metrics, token=None, limit=2**24, patience=20.0):
        self.models, self.metrics, self.limit, self.patience = models, metrics, limit, patience
        self._secret = None if token is None else f"Bearer {token}".encode()
        self._waiting = None

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        begun, request, path = time.perf_counter(), Request(scope, receive), scope["raw_path"].decode("latin-1")
        name, code, http = "", "OK", 200
        try:
            name, answer = await self._answer(request, path)
        except ClientDisconnect:
            return
        except Exception as error:
            refused = of(error)
            if refused.code == "INTERNAL":
                print(f"tfgen serve: {request.method} {path[:200]}: {refused}", flush=True)
            code, http = refused.code, refused.http
            answer = Response(orjson.dumps({"error": str(refused)}), http, media_type="application/json")
            if http in (408, 413):  # the rest of the body is not read
                answer.headers["connection"] = "close"
        self.metrics.request(name, "REST", code, time.perf_counter() - begun)
        await answer(scope, receive, send)

    async def _answer(self, request, path):
        """(name of the model that answered, answer) of a request."""
        sent = request.headers.get("authorization", "").encode("latin-1")
        if self._secret and not hmac.compare_digest(sent, self._secret):
            refuse("expected the header 'Authorization: Bearer TOKEN' with the server's token", "UNAUTHENTICATED")
        if path == METRICS and request.method == "GET":
            return "", Response(self.metrics.page(), media_type="text/plain; version=0.0.4")
        if not path.lower().startswith("/v1/"):
            refuse(f"Not Found: {path[:200]}; expected /v1/models/NAME", "NOT_FOUND")
        if request.method == "GET" and (found := STATUS.fullmatch(path)):
            return self._described(*found.groups())
        if request.method == "POST" and (found := PREDICT.fullmatch(path)):
            name, number, label = _spec(*found.groups()[:3])
            body = await self._body(request)
            return name, await self._predict(request, body, name, number, label, found[4].lower())
        refuse(f"Malformed request: {request.method} {path[:200]}")

    def _described(self, name, number, label, what):
        """Status or metadata of a model, or the record of its export."""
        name, number, label = _spec(name, number, label)
        made = answers.JSON[(what or "status").lower()](self.models.model(name), number, label)
        return name, Response(made, media_type="application/json")

    async def _body(self, request):
        """The bytes of the body.

        Raises:
            Refused: for one that is too large (413), too slow (408) or not compressed with gzip as it says.
        """
        large = f"a request expects at most {self.limit} bytes: send fewer rows, or raise --request-limit"
        if int(request.headers.get("content-length", 0)) > self.limit:
            refuse(large, http=413)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.patience):
                async for chunk in request.stream():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > self.limit:
                        refuse(large, http=413)
        except TimeoutError:
            refuse(f"the body expects to arrive within {self.patience:g} s, received {size} bytes", http=408)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if coding := request.headers.get("content-encoding"):
            if coding.lower() != "gzip":
                refuse(f"Content-Encoding expects gzip, received {coding[:50]}", http=415)
            try:
                unzipped = zlib.decompressobj(wbits=31)
                body = unzipped.decompress(body, self.limit)
            except zlib.error as error:
                refuse(f"the body is not compressed with gzip ({error})")
            if unzipped.unconsumed_tail:
                refuse(large, http=413)
        return body

    async def _predict(self, request, body, name, number, label, method):
        version = self.models.model(name).take(number, label)
        try:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            signature_name, inputs, rows = await _where(len(body), self._read, request, body, kind, version, method)
            waiting = self._loop()
            version.take()  # for the queue, which leaves it
            task = self.models.put(version, name, signature_name, inputs, (), waiting.told)
        finally:
            version.leave()
        made = await waiting.end(task)
        numbers = sum(array.size for array in made.values())
        if NPZ in request.headers.get("accept", ""):
            return Response(await _where(numbers, json_tensors.write_npz, made), media_type=NPZ)
        return Response(await _where(numbers, json_tensors.dumps, made, rows), media_type="application/json")

    def _read(self, request, body, kind, version, method):
        """(signature's name, inputs, whether rows were sent) of a body."""
        found = dict(request.query_params) if kind == NPZ else json_tensors.parse(body)
        name = found.get("signature_name", "")
        if not isinstance(name, str):
            refuse("JSON Value: not formatted correctly. 'signature_name' key must be a string value.")
        if method != "predict":
            answers.refuse_method(version, name, method, "examples" in found)
        signature = version.signature(name)
        if signature is None:
            refuse(f'Serving signature name: "{name[:200] or "serving_default"}" not found in signature def; it has '
                   f"{', '.join(version.signatures)}")
        if kind == NPZ:
            return name, json_tensors.read_npz(body, self.limit), False
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
    if number and int(number[:20]) >= 2**63:
        raise Refused("INVALID_ARGUMENT", f"Failed to convert version: {number[:50]} to numeric.")
    return urllib.parse.unquote(name), int(number) if number else None, urllib.parse.unquote(label or "")

"""The HTTP server: uvicorn, with limits on slow clients, and an orderly end on SIGTERM."""

import asyncio
import functools
import math

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0  # within which the line and headers of a request must have arrived
HEADER_BYTES = 2**16
IDLE_SECONDS = 75  # after which an unused connection is closed
CONNECTIONS = 1024
LOOK_SECONDS = 0.1  # between two looks for slow clients
GRACE_SECONDS = 20  # within which requests in flight are answered at the end; then those that wait for a model are refused
LAST_SECONDS = 10  # more, for what models run then and for answers on their way


class Joined:
    """A transport whose writes within one step of the event loop are sent together: an answer's headers and body.

    Sending is a third of the time of a small answer.
    """

    def __init__(self, transport, loop):
        self._transport, self._loop, self._parts = transport, loop, []

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self):
        self._flush()
        self._transport.close()

    def _flush(self):
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class Protocol(HttpToolsProtocol):
    """HTTP of a connection; closes it when headers are slow or large, a body is slow, or an answer is not read.

    Args:
        patience: seconds within which a body must have arrived.
        given: what uvicorn passes.
    """

    def __init__(self, *given, patience, **named):
        super().__init__(*given, **named)
        self._patience, self._due, self._late = patience, math.inf, None
        self._bytes = None  # of the headers that have arrived; None where none are expected

    def connection_made(self, transport):
        super().connection_made(Joined(transport, self.loop))
        self._begin()

    def on_message_begin(self):
        super().on_message_begin()
        self._begin()

    def data_received(self, data):
        super().data_received(data)
        if self._bytes is not None:  # all of it were headers, whose end is not there
            self._bytes += len(data)
            if self._bytes > HEADER_BYTES:
                self._end(431, "Request Header Fields Too Large",
                          f"the headers of a request have at most {HEADER_BYTES} bytes")

    def on_headers_complete(self):
        self._bytes, self._due = None, math.inf
        super().on_headers_complete()
        if not self.pipeline:
            self._expect(self._patience, self._slow_body)

    def on_message_complete(self):
        self._due = math.inf
        super().on_message_complete()

    def on_response_complete(self):
        waits = bool(self.pipeline)
        super().on_response_complete()
        if waits and self.cycle.more_body:  # of a request that came before the last one was answered
            self._expect(self._patience, self._slow_body)

    def timeout_keep_alive_handler(self):
        # An answer that is still not read would keep a connection that is only closed.
        self.transport.abort()

    def cut(self, now):
        """Ends the connection if what it waits for has not arrived at the time `now` of the loop."""
        if now > self._due:
            self._due = math.inf
            self._late()

    def _begin(self):
        self._bytes = 0
        self._expect(HEADER_SECONDS, self._slow_headers)

    def _expect(self, seconds, late):
        self._due, self._late = self.loop.time() + seconds, late

    def _slow_headers(self):
        self._end(408, "Request Timeout", f"the headers of a request must arrive within {HEADER_SECONDS:g} s")

    def _slow_body(self):
        if self.cycle.response_complete:  # it is not read
            self.transport.abort()
        else:
            self._end(408, "Request Timeout", f"the body of a request must arrive within {self._patience:g} s")

    def _end(self, code, title, message):
        self._bytes, self._due = None, math.inf
        body = f'{{"error": "{message}"}}'
        self.transport.write(f"HTTP/1.1 {code} {title}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                             f"connection: close\r\n\r\n{body}".encode())
        self.transport.close()


class Listener(uvicorn.Server):
    """uvicorn's server, which ends with exit code 0 after a SIGTERM or Ctrl-C.

    Args:
        app: an ASGI application.
        ended: called once when the end begins.
        patience: seconds within which the body of a request must have arrived.
    """

    def __init__(self, app, ended=lambda: None, patience=20.0):
        super().__init__(uvicorn.Config(
            app, http=functools.partial(Protocol, patience=patience), loop="uvloop", ws="none", lifespan="off",
            log_level="error", access_log=False, server_header=False, proxy_headers=False, headers=[("server", "tfgen")],
            timeout_keep_alive=IDLE_SECONDS, limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS + LAST_SECONDS))
        self._ended = ended

    def handle_exit(self, sig, frame):
        # Without uvicorn's own handler, which raises the signal again at the end.
        self.should_exit = True

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self._look(asyncio.get_running_loop())

    def _look(self, loop):
        """Looks for slow clients: one timer for all connections instead of two per request."""
        for connection in list(self.server_state.connections):
            connection.cut(loop.time())
        loop.call_later(LOOK_SECONDS, self._look, loop)

    async def shutdown(self, sockets=None):
        self._ended()
        await super().shutdown(sockets)
        if cancelled := self.server_state.tasks:  # they refuse their requests
            await asyncio.wait(cancelled, timeout=1)

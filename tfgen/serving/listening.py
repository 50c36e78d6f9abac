"""The HTTP server: uvicorn, with limits on slow clients, and an orderly end on SIGTERM."""

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0  # within which the line and headers of a request must have arrived
HEADER_BYTES = 2**16
IDLE_SECONDS = 75  # after which an unused connection is closed
CONNECTIONS = 1024
GRACE_SECONDS = 30  # within which requests in flight are answered at the end


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
    """HTTP of a connection; closes it when a request's headers are slow or large, or its answer is not read."""

    _due, _bytes = None, 0

    def connection_made(self, transport):
        super().connection_made(Joined(transport, self.loop))
        self._expect()

    def connection_lost(self, exc):
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self):
        super().on_message_begin()
        self._bytes = 0
        self._expect()

    def data_received(self, data):
        super().data_received(data)
        if self._due is not None:  # all of it were headers, whose end is not there
            self._bytes += len(data)
            if self._bytes > HEADER_BYTES:
                self._arrived()
                self._end(431, "Request Header Fields Too Large",
                          f"the headers of a request have at most {HEADER_BYTES} bytes")

    def on_headers_complete(self):
        self._arrived()
        super().on_headers_complete()

    def timeout_keep_alive_handler(self):
        # An answer that is still not read would keep a connection that is only closed.
        self.transport.abort()

    def _expect(self):
        if self._due is None:
            self._due = self.loop.call_later(HEADER_SECONDS, self._late)

    def _arrived(self):
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _late(self):
        self._due = None
        self._end(408, "Request Timeout", f"the headers of a request must arrive within {HEADER_SECONDS:g} s")

    def _end(self, code, title, message):
        body = f'{{"error": "{message}"}}'
        self.transport.write(f"HTTP/1.1 {code} {title}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                             f"connection: close\r\n\r\n{body}".encode())
        self.transport.close()


class Listener(uvicorn.Server):
    """uvicorn's server, which ends with exit code 0 after a SIGTERM or Ctrl-C.

    Args:
        app: an ASGI application.
        ended: called once when the end begins.
    """

    def __init__(self, app, ended=lambda: None):
        super().__init__(uvicorn.Config(
            app, http=Protocol, loop="uvloop", ws="none", lifespan="off", log_level="error", access_log=False,
            server_header=False, proxy_headers=False, headers=[("server", "tfgen")], timeout_keep_alive=IDLE_SECONDS,
            limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=GRACE_SECONDS))
        self._ended = ended

    def handle_exit(self, sig, frame):
        # Without uvicorn's own handler, which raises the signal again at the end.
        self.should_exit = True

    async def shutdown(self, sockets=None):
        self._ended()
        await super().shutdown(sockets)

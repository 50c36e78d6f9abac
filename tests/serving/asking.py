"""What the tests of the embedded server ask it."""

import http.client
import json

import numpy as np

X = np.random.default_rng(0).random((5, 8, 8, 1), "float32")
Y = np.arange(5) % 3
LIMIT = 2**16  # bytes per request


def ask(server, path, body=None, method=None, **headers):
    """(code, object or bytes) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(method or ("GET" if body is None else "POST"), path, body,
                       {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if answer.headers.get_content_type() == "application/json" else data

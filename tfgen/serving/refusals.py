"""Requests that a server refuses: gRPC's status codes, and TF Serving's HTTP codes for them."""

# {status code: HTTP code}, as TF Serving maps them.
HTTP = {"CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
        "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
        "UNAUTHENTICATED": 401}
LONGEST = 1000  # characters of a message


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        code: name of a gRPC status code.
        http: the HTTP code of the answer.
    """

    def __init__(self, code, message, http=None):
        # A message may name what was sent, in which JSON allows half of a surrogate pair.
        super().__init__(" ".join(str(message).split())[:LONGEST].encode("utf-8", "replace").decode())
        self.code, self.http = code, http or HTTP[code]


def refuse(message, code="INVALID_ARGUMENT", http=None):
    """Raises a `Refused`."""
    raise Refused(code, message, http)


def text_of(shape):
    """A shape as in the error messages of TF Serving: [-1,28,28,1]."""
    return f"[{','.join('-1' if side is None else str(side) for side in shape)}]"


def stopping():
    """The `Refused` of requests that come, or still wait, when a server ends."""
    return Refused("UNAVAILABLE", "the server is stopping")


def of(error):
    """The `Refused` that answers any error of a running model."""
    if isinstance(error, Refused):
        return error
    import tensorflow as tf

    names = {getattr(tf.errors, name): name for name in HTTP if hasattr(tf.errors, name)}
    if isinstance(error, tf.errors.OpError):
        return Refused(names.get(error.error_code, "UNKNOWN"), error.message)
    return Refused("INTERNAL", f"{type(error).__name__}: {error}")

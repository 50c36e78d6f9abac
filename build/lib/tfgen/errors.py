"""One-line messages: user errors (exit code 2), failures of valid requests (exit code 1), notes."""

import difflib
import re
import sys


class UserError(ValueError):
    """A mistake in the arguments or the data. The message says what was expected, what was received and what to do."""

    # Keras adds lines to what is raised in a layer's call, but not to what says that they were added.
    _keras_call_info_injected = True


class Failure(RuntimeError):
    """A failure of a valid request. The message says what happened and what is kept."""


class DiskFull(OSError):
    """A disk is full. The message says which, and which files are intact."""


def note(line):
    """Prints one line on standard error; nothing stops."""
    print(line, file=sys.stderr)


def require(condition, message):
    """Raises a `UserError` of one line unless the condition holds."""
    if not condition:
        raise UserError(message)


def did_you_mean(name, known):
    """"" (did you mean 'x'?)" for the nearest known name, or ""."""
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def check_positive(**numbers):
    """Raises a `UserError` for a number below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise UserError(f"{name} expects at least 1, received {number}")


def broken_data(line):
    """The text with which a data stream ends where reading fails, in a graph; `line` is that of the `UserError`."""
    return "broken data {" + line + "} of the stream"


def line_of_stream(error):
    """The line of the `UserError` that ended a data stream, from the error that TensorFlow raised for it; or None."""
    found = re.search(r"broken data \{(.*?)\} of the stream", str(error), re.DOTALL)
    return found and found[1]

"""What is said in one line: a user's mistake (exit code 2), a failure of what was asked rightly (exit code 1), a note."""

import difflib
import sys


class UserError(ValueError):
    """A mistake in what was asked or in the data: the message says what was expected, received and what to do."""

    # Keras adds lines to what is raised in a layer's call, but not to what says that they were added.
    _keras_call_info_injected = True


class Failure(RuntimeError):
    """What was asked cannot be had: the message says what happened and what is kept."""


class DiskFull(OSError):
    """There is no room to write: the message says where, and what is intact."""


def note(line):
    """One line on standard error: what a person should know and nothing stops for."""
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

"""Suggestions for mistyped names."""

import difflib


def did_you_mean(name, known):
    """"" (did you mean 'x'?)" for the nearest known name, or ""."""
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean '{near[0]}'?)" if near else ""

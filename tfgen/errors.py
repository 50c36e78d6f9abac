"""What a user can mend: reported in one line, exit code 2; and what to know without being stopped."""

import sys


class UserError(ValueError):
    """A mistake in what was asked or in the data: the message says what was expected, received and what to do."""


def note(line):
    """One line on standard error: what a person should know and nothing stops for."""
    print(line, file=sys.stderr)

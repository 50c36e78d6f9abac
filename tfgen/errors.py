"""What a user can mend, reported in one line: a mistake (exit code 2), a full disk (exit code 1)."""


class UserError(ValueError):
    """A mistake in what was asked or in the data: the message says what was expected, received and what to do."""


class DiskFull(OSError):
    """There is no room to write: the message says where, and what is intact."""

"""What a user can mend: reported in one line, exit code 2."""


class UserError(ValueError):
    """A mistake in what was asked or in the data: the message says what was expected, received and what to do."""

"""Measurements and drawings that never stop a training: if one fails, it is omitted with a one-line reason."""

import os

from tfgen.errors import note


class Attempts:
    """Calls functions and reports their failure once, on standard error, without raising it.

    Errors of files (a full disk) and Ctrl-C are raised; with TFGEN_DEBUG=1 all errors are.

    Attributes:
        left_out: {what: the reason}.
    """

    def __init__(self):
        self.left_out = {}

    def __call__(self, what, function, *arguments, default=None):
        """The result of `function(*arguments)`, or `default` if it fails.

        Args:
            what: name of the omitted result, such as "samples".
        """
        try:
            return function(*arguments)
        except OSError:
            raise
        except Exception as error:  # no measurement may stop a training
            if os.environ.get("TFGEN_DEBUG"):
                raise
            self.leave_out(what, " ".join(str(error).split()) or type(error).__name__)
            return default

    def leave_out(self, what, reason):
        """Reports once that `what` is omitted."""
        if what not in self.left_out:
            note(f"left out: {what}: {reason}")
        self.left_out[what] = reason

"""What only measures or draws stops no training: it is left out, with one line that says why."""

import os

from tfgen.errors import note


class Attempts:
    """Calls functions whose failure is said once, on standard error, and goes no further.

    A full disk is everybody's failure and is raised, as is Ctrl-C; with TFGEN_DEBUG=1 everything is.

    Attributes:
        left_out: {what: the reason}.
    """

    def __init__(self):
        self.left_out = {}

    def __call__(self, what, function, *arguments, default=None):
        """What `function(*arguments)` gives, or `default`.

        Args:
            what: name of the result that is left out if it fails, such as "samples".
        """
        try:
            return function(*arguments)
        except OSError:
            raise
        except Exception as error:  # Whatever it is, the training is worth more.
            if os.environ.get("TFGEN_DEBUG"):
                raise
            self.leave_out(what, " ".join(str(error).split()) or type(error).__name__)
            return default

    def leave_out(self, what, reason):
        """Says once that `what` is left out."""
        if what not in self.left_out:
            note(f"left out: {what}: {reason}")
        self.left_out[what] = reason

"""The command line: thin wrappers of library functions, one module per kind of command (`app` has the table)."""

from tfgen.cli.app import main

__all__ = ["main"]

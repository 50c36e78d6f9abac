"""The command line: the table of commands, exit codes and one-line errors."""

import functools
import os
import sys

import typer

from tfgen import disks
from tfgen.cli import datasets, inference, models, published, serving, training, ui
from tfgen.errors import DiskFull, Failure, UserError, line_of_stream


class Stopped(Exception):
    """Ctrl-C ended a command; the message says how to go on."""


def stoppable(command):
    """The command, which raises `Stopped` for a `KeyboardInterrupt`, whose message some versions of Typer drop."""
    @functools.wraps(command)
    def call(*arguments, **options):
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt as error:
            raise Stopped(str(error) or "stopped") from None

    return call


app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
                  help="Deep generative models in Keras. Start with: tfgen train vae --data digits --out runs/vae")
for name, command in {"list": training.list_, "train": training.train, "tune": training.tune, **inference.COMMANDS,
                      "evaluate": models.evaluate, "export": models.export_, "check-export": models.check_export,
                      "serving-config": models.serving_config, "serve": serving.serve, "ui": ui.ui,
                      "reproduce": published.reproduce}.items():
    app.command(name)(stoppable(command))
for command in (published.results, published.catalogue):
    app.command(hidden=True)(command)
data_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="List, prepare and pack data sets.")
data_app.command("list")(datasets.list_)
data_app.command("prepare")(datasets.prepare)
data_app.command("pack")(datasets.pack)
app.add_typer(data_app, name="data")

# Errors caused by the path that a user gave.
PATHS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def failure(error):
    """(exit code, one-line message) for the error that ended a command."""
    line = " ".join(str(error).split())
    if hasattr(error, "format_message"):  # a usage error of the command line; its class differs between versions
        return error.exit_code, error.format_message()
    if isinstance(error, UserError):
        return 2, line
    if broken := line_of_stream(error):
        return 2, broken
    if disks.is_full(error) and not isinstance(error, DiskFull):
        return 1, f"no space left on a disk that is written to ({line[:200]}): make room, or choose another folder"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return (2 if isinstance(error, PATHS) else 1), f"{error.filename}: {error.strerror}; choose another place"
    if isinstance(error, (Failure, OSError)):
        return 1, line or type(error).__name__
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return 1, f"out of memory; a smaller --batch-size, --n or --image-size needs less ({line[:200]})"
    return 1, f"internal ({type(error).__name__}): {line}; TFGEN_DEBUG=1 shows the traceback"


def prepare_streams():
    """Replaces closed standard streams by the null device; escapes characters that a stream cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="replace"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def main():
    """Runs the command line: exit code 2 for a usage error, 1 for a failure, 130 for Ctrl-C; prints one line each.

    With TFGEN_DEBUG=1 every error is raised.
    """
    prepare_streams()
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe; discard the remaining output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, Stopped, typer.Abort) as error:
        print(str(error) or "stopped", file=sys.stderr)
        code = 130
    except Exception as error:
        code, line = failure(error)
        if type(error).__name__ == "NoArgsIsHelpError":
            print(line)
        elif os.environ.get("TFGEN_DEBUG"):
            raise
        else:
            print(f"error: {line}", file=sys.stderr)
    sys.exit(code)

"""Arguments and options that several commands have, and how their values are read."""

import pathlib
from typing import Annotated

import typer

from tfgen import catalogue
from tfgen.errors import UserError


def recipes_beginning(incomplete):
    """Names for shell completion."""
    return [name for name in catalogue.names() if name.startswith(incomplete)]


Recipe = Annotated[str, typer.Argument(help="A recipe's name, see `tfgen list`.", autocompletion=recipes_beginning)]
Model = Annotated[pathlib.Path, typer.Argument(
    help="A run folder, a SavedModel folder or the URL of a model on a server, http://HOST:PORT/NAME.")]
DataName = Annotated[str, typer.Option("--data", help="A name (see `tfgen data list`), a folder or a file.")]
ImageSize = Annotated[str | None, typer.Option(help="Resize images to N x N pixels, or to HEIGHTxWIDTH, such as 24x32.")]
Resize = Annotated[str, typer.Option(help="How images are resized: stretch, crop (cover the size, keep the centre) or pad "
                                          "(fit inside, repeat the border).")]
GroupBy = Annotated[str | None, typer.Option(
    help="Regular expression for file names, such as ^[^_]+: files with the same match (first group) stay in one split.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Skip and list unreadable image files.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.")]
BatchSize = Annotated[int | None, typer.Option(help="Images per optimizer update; default: the recipe's, mostly 128.")]
Pairs = Annotated[str | None, typer.Option(
    help="Source of each image: edges, grey, low_resolution[:FACTOR] or erased[:SHARE], computed from it; "
         "side_by_side[_reversed] for files with both images A|B.")]
Domains = Annotated[str | None, typer.Option(
    help="Two classes as source and target domain of unpaired data, such as Sandal,Sneaker.")]
Normal = Annotated[str | None, typer.Option(
    help="Normal class(es): train on these only, test on all.")]
Anomalous = Annotated[str | None, typer.Option(help="Anomalous class(es): excluded from training.")]
Levels = Annotated[int | None, typer.Option(min=2, max=256, help="Grey levels per value; default: 256.")]
Binarise = Annotated[str | None, typer.Option(
    help="Binary images: dynamic (each value drawn with its intensity as probability, anew in each epoch) or threshold.")]
Every = Annotated[int | None, typer.Option(
    min=2, help="Of one signal, train on every k-th sample along each axis and hold out the rest; default: train on all.")]
Label = Annotated[str | None, typer.Option(
    "--label", help="Column of the classes in a .csv file, by name or number; default: there is none.")]
Window = Annotated[int | None, typer.Option(
    min=1, help="Of a table in time order, the times per window of the series; default: its rows are vectors.")]
WindowStep = Annotated[int | None, typer.Option(
    min=1, help="Times from one window to the next; default: --window, so that they do not overlap.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of weights, noise and data order.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of a hyperparameter; may be repeated.")]
Options = Annotated[list[str] | None, typer.Option(
    "--option", help="NAME=VALUE of an option of the verb, such as label=3; may be repeated.")]
Images = Annotated[str | None, typer.Option(
    help="A folder of images, an image file, a data file or a data name; default: the test split of the model's data.")]
Count = Annotated[int, typer.Option("--n", min=1, help="Number of images.")]
ImageFiles = Annotated[pathlib.Path, typer.Option(
    "--images", help="A folder of images, searched with its subfolders, or an image file.")]
CountOrAll = Annotated[int | None, typer.Option("--n", min=1, help="Maximum number of images.")]
BatchSizes = Annotated[str | None, typer.Option(
    help="Rows to which batches are padded, ascending, such as 1,8,32; the last is the largest batch.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


def numbers(text, option, such="1,32"):
    """"1,32" -> (1, 32), None -> (); `option`, its name, and `such`, an example, are for the message."""
    if text is None:
        return ()
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UserError(f"{option} expects numbers such as {such}, received '{text}'") from None


def assignments(pairs, what):
    """["a=1"] -> {"a": "1"}."""
    values = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UserError(f"{what} expects NAME=VALUE, received '{pair}'")
        values[name.strip()] = value.strip()
    return values


def values_of(pairs, about=()):
    """["label=3"] -> {"label": 3}, the options of a verb; about: {name: Option or Text} of those that it has."""
    values, texts = {}, [name for name in about if about[name].dtype == "string"]
    for name, value in assignments(pairs, "--option").items():
        if name in texts:
            values[name] = value
            continue
        try:
            values[name] = int(value) if value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            raise UserError(f"--option expects a number for '{name}', received '{value}'") from None
    return values

"""The commands of data sets: data list, data prepare."""

import pathlib
from typing import Annotated

import typer

from tfgen.cli.lazy import data


def list_():
    """Lists the available data sets.

    Example: tfgen data list
    """
    for name, where, about in data.available():
        print(f"{name:20} {about}  [{where}]")


def prepare(name: Annotated[str, typer.Argument(help="fashion_mnist, mnist or kmnist.")],
            source: Annotated[pathlib.Path, typer.Option("--from", help="Folder with the four IDX files.")]):
    """Builds a TFDS data set from files on disk.

    Example: tfgen data prepare fashion_mnist --from /usr/share/dataset-fashion-mnist
    """
    print(f"prepared {name} in {data.prepare(name, source)}")

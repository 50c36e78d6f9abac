"""The commands of published figures, and hidden ones that write files of the project: reproduce, results, catalogue."""

import json
from typing import Annotated

import typer

from tfgen import _start
from tfgen import catalogue as catalogue_of_recipes
from tfgen.cli.lazy import figures
from tfgen.cli.lazy import results as results_table


def reproduce(name: Annotated[str | None, typer.Argument(help="Name of a figure; without it, lists all.")] = None):
    """Trains and measures a published figure and writes its record to results/.

    Example: tfgen reproduce vae
    """
    if name is None:
        for key, figure in figures.FIGURES.items():
            print(f"{key:12} {figure.title}")
    else:
        print(json.dumps(figures.reproduce(name)["values"], indent=2))


def results():
    """Writes RESULTS.md from the records in results/."""
    results_table.write_table()


def catalogue():
    """Writes what `tfgen list` shows anew, after a change of recipes."""
    _start.libraries()
    catalogue_of_recipes.write()

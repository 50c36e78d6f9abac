"""The records of published figures in results/."""

import pathlib
import time

from tfgen import files
from tfgen.runs.folder import library_versions

RESULTS = pathlib.Path("results")


def record(name, values, folder=None, **about):
    """Writes `<folder>/<name>.json` and returns its content.

    Args:
        name: name of the record.
        values: {quantity: number}; quantities other than nats and ratios have their unit in the name.
        folder: where to; None: `results/`, whose records are published.
        **about: title, command, budget, seeds, data, extractor, published ({"value", "source"} or a reason) …
    """
    made = {"name": name, "values": values, **about, "versions": library_versions(),
            "date": time.strftime("%Y-%m-%d", time.gmtime())}
    files.write_json((RESULTS if folder is None else folder) / f"{name}.json", made)
    return made


def stored(first):
    """All records; those whose names are in the list `first` come first, in its order."""
    found = {path.stem: files.read_json(path) for path in sorted(RESULTS.glob("*.json"))}
    return [found[name] for name in [*first, *sorted(set(found) - set(first))] if name in found]

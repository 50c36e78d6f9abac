"""Classes of images that a command is given, as the numbers that the model knows them by."""

from tfgen.cli.lazy import classes
from tfgen.errors import UserError


def known_to(live):
    """(names of a model's classes, or of one that takes labels without names their numbers; whether it takes labels)."""
    highest = [options["label"].high for options in live.options.values() if "label" in options]
    return tuple(live.class_names) or tuple(map(str, range(1 + max(highest, default=-1)))), bool(highest)


def matched(labels, class_names, live):
    """(labels or None, their names or ()) with the model's numbers of its classes. If it does not know them all: None for a
    model that takes labels, else labels and names as they are.

    Args:
        labels: int64 (N,), or None.
        class_names: one name per class; if empty, the numbers are the names.
        live: verbs of the model.
    """
    known, takes = known_to(live)
    places = None if labels is None else classes.places_of(labels, class_names, known)
    if places is not None:
        return places, known
    return (None, ()) if takes else (labels, class_names)


def numbered(place, labels, class_names, live):
    """Labels of a file and their names, as `matched`. Labels of an array are already the numbers of a model that takes
    labels, unless the names of its classes are other numbers.

    Args:
        place: path of the file.
        labels, class_names, live: as for `matched`.

    Raises:
        UserError: for a class that a model that takes labels does not know.
    """
    known, takes = known_to(live)
    if takes and not class_names and not all(map(str.isdecimal, known)):
        return labels, known
    found, names = matched(labels, class_names, live)
    if labels is not None and found is None:
        unknown = next(name for name in (classes.title_of(label, class_names) for label in labels) if name not in known)
        raise UserError(f"expected the classes {', '.join(known)} in {place}, received {unknown!r}: name them as the "
                        "model's data")
    return found, names

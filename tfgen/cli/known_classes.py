"""Classes of images that a command is given, as the numbers that the model knows them by."""

import functools
import re

from tfgen.cli.lazy import classes
from tfgen.errors import UserError


def numbered_to(highest, name):
    """The number from 0 to `highest` that a class is called by, or None."""
    # Not the name among those of all: a server without metadata tells no range, and 2^63 names fill any memory.
    return int(name) if re.fullmatch("0|[1-9][0-9]{0,18}", name) and int(name) <= highest else None


def place_in(class_names, option):
    """The function name -> number of that class in a model, or None.

    Args:
        class_names: the model's; if empty, the numbers are the names.
        option: the `Option` of the verb that takes labels, or None.
    """
    if class_names:
        return {name: place for place, name in enumerate(class_names)}.get
    return functools.partial(numbered_to, option.high if option else -1)


def matched(labels, class_names, live, option):
    """(labels or None, their names or ()) with the model's numbers of its classes. If it does not know them all: None for a
    verb that takes labels, else labels and names as they are.

    Args:
        labels: int64 (N,), or None.
        class_names: one name per class; if empty, the numbers are the names.
        live: verbs of the model.
        option: the `Option` label of the verb that is asked, or None if it takes none.
    """
    if labels is None:
        return None, ()
    places = classes.places_of(labels, class_names, place_in(live.class_names, option))
    if places is not None:
        return places, tuple(live.class_names)
    return (None, ()) if option else (labels, class_names)


def numbered(place, labels, class_names, live, option):
    """Labels of a file and their names, as `matched`. Labels of an array are already the numbers of a verb that takes
    labels, unless the names of the model's classes are other numbers.

    Args:
        place: path of the file.
        labels, class_names, live, option: as for `matched`.

    Raises:
        UserError: for a class that a verb that takes labels does not know.
    """
    if labels is None or not option:
        return matched(labels, class_names, live, option)
    known = live.class_names if class_names or all(map(str.isdecimal, live.class_names)) else ()
    place_of = place_in(known, option)
    found = classes.places_of(labels, class_names, place_of)
    if found is None:
        unknown = next(name for name in (classes.title_of(label, class_names) for label in labels) if place_of(name) is None)
        raise UserError(f"expected the classes {', '.join(known) or f'0 to {option.high}'} in {place}, received "
                        f"{unknown!r}: name them as the model's data")
    return found, tuple(live.class_names)

"""Classes given by name or number, and labels that are not numbered from 0."""

from collections.abc import Sequence

import numpy as np

from tfgen.errors import UserError, did_you_mean


def listed(wanted):
    """A list of classes from 'A,B', a sequence or a single class."""
    if isinstance(wanted, str):
        return wanted.split(",")
    return list(wanted) if isinstance(wanted, Sequence) else [wanted]


def numbered(labels):
    """({split: places int64 (N,) or None}, names) of labels {split: (N,) or None}, integers or texts.

    The place of a label is that among all that occur, in their order; these are the names.
    """
    known = np.unique(np.concatenate([found for found in labels.values() if found is not None]))
    return {split: None if found is None else np.searchsorted(known, found) for split, found in labels.items()}, tuple(
        map(str, known.tolist()))


def names_of(class_names):
    """Names of classes, or () of those that are called by their numbers 0, 1, …"""
    return () if class_names == tuple(map(str, range(len(class_names)))) else class_names


def classes_of(labels, class_names=()):
    """({split: labels int64 (N,) or None}, number of classes or None, their names or ()).

    Labels without a name for each are `numbered`: unless they are 0, 1, … without a gap, their numbers are the names.
    """
    found = [one for one in labels.values() if one is not None]
    if not found:
        return labels, None, ()
    if max(int(one.max()) for one in found) < len(class_names):
        return labels, len(class_names), tuple(class_names)
    labels, class_names = numbered(labels)
    return labels, len(class_names), names_of(class_names)


def title_of(label, class_names):
    """The name of class `label` or, without class names, its number as a string."""
    return class_names[label] if class_names else str(label)


def places_of(labels, class_names, place_of):
    """The places of the classes of labels (N,), int64 (N,), or None if one has none.

    Args:
        labels: int64 (N,).
        class_names: one name per class; if empty, the numbers are the names.
        place_of: function name -> place, or None.
    """
    found, index = np.unique(labels, return_inverse=True)
    places = [place_of(title_of(label, class_names)) for label in found]
    return None if None in places else np.array(places, np.int64)[index]


def class_of(name, wanted, class_names, classes):
    """The number of a class given by its name, in any case, or by its number, unless the names are other numbers.

    Args:
        name: name of the data set, for the error message.
        wanted: str or int.
        class_names: one name per class, or empty.
        classes: number of classes.

    Raises:
        UserError: for an unknown class, with the nearest name.
    """
    text = str(wanted).strip()
    same = [label for label, known in enumerate(class_names) if known == text] or [
        label for label, known in enumerate(class_names) if known.lower() == text.lower()]
    numbered = all(map(str.isdecimal, class_names)) and tuple(class_names) not in ((), tuple(map(str, range(classes))))
    if not same and not numbered and text.isdecimal() and int(text) < classes:
        same = [int(text)]
    if len(same) != 1:
        known = [*(repr(title) for title in class_names[:12]), *(["..."] if len(class_names) > 12 else []),
                 *([] if numbered else [f"0 to {classes - 1}"])]
        raise UserError(f"expected classes of {name!r}: {', '.join(known)}, received {text!r}"
                        f"{did_you_mean(text, class_names)}: use those")
    return same[0]

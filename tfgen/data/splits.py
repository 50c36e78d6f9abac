"""Carves held-out splits from the training images, keeping groups together; detects duplicates across splits."""

import re

import numpy as np

from tfgen.data import stores
from tfgen.errors import UserError


def permutation(count):
    """A fixed permutation of range(count); RandomState's stream never changes."""
    return np.random.RandomState(0).permutation(count)


def take(pair, rows):
    images, labels = pair
    return stores.take(images, rows), None if labels is None else labels[rows]


def group_pattern(text):
    """The compiled pattern of `group_by`. Raises UserError for an invalid regular expression."""
    try:
        return re.compile(text)
    except (re.error, TypeError) as error:
        raise UserError(f"group_by expects a regular expression, received {text!r} ({error}): pass --group-by '^[^_]+', "
                        "say, for what comes before the first _ of a file's name") from None


def groups_of(paths, pattern):
    """The group of each file: str array (N,).

    Args:
        paths: paths of the files.
        pattern: compiled pattern, searched in each file name; its first group, else the whole match, names the group.

    Raises:
        UserError: for a file name without a match.
    """
    groups = []
    for path in paths:
        found = pattern.search(path.name)
        text = found and found[1 if pattern.groups else 0]
        if not text:
            raise UserError(f"expected every file's name to match --group-by {pattern.pattern!r}, received {path.name!r}: "
                            "change the pattern, or rename the file")
        groups.append(text)
    return np.array(groups)


def _held_out(part, count, groups):
    """(kept rows, held-out rows): the last `part` rows of a fixed permutation, or whole groups of at least `part` rows; None
    if no group would be kept."""
    order = permutation(count)
    if groups is None:
        return order[:-part], order[-part:]
    titles, group = np.unique(groups, return_inverse=True)
    last = permutation(len(titles))[::-1]
    many = 1 + int(np.searchsorted(np.cumsum(np.bincount(group)[last]), part))
    if many >= len(titles):
        return None
    held = np.isin(group, last[:many])[order]
    return order[~held], order[held]


def carve(name, splits, groups=None, what="images"):
    """Carves a missing 'test', then a missing 'validation' split from train: a tenth of its images each, at most 5,000.

    Args:
        name: name of the data set, for error messages.
        splits: {split: (images, labels)} with train.
        groups: str (N,), the group of each training image; groups are not separated. None: no groups.
        what: what the rows are, for error messages.

    Raises:
        UserError: too few images or groups.
    """
    splits, found = dict(splits), len(splits["train"][0])
    missing = [split for split in ("test", "validation") if split not in splits]
    if found < 1 + len(missing):
        raise UserError(f"expected at least {1 + len(missing)} {what} to split in {name!r}, received {found}: add some")
    titles = None if groups is None else len(np.unique(groups))
    for split in missing:
        count = len(splits["train"][0])
        part = min(5000, max(1, count // 10))
        rows = _held_out(part, count, groups)
        if rows is None:
            raise UserError(f"expected groups of files to train on and to hold out for {' and '.join(missing)} in {name!r}, "
                            f"received {titles} by --group-by: give a pattern of more and smaller groups, or a folder with "
                            "train and test")
        kept, held = rows
        splits[split] = take(splits["train"], held)
        splits["train"] = take(splits["train"], kept)
        groups = None if groups is None else groups[kept]
    return {split: splits[split] for split in ("train", "validation", "test")}


def copies(arrays):
    """Counts exact duplicates across splits: validation or test images in train, test images in validation.

    Args:
        arrays: {split: uint8 (N, H, W, C), or shards of them}.

    Returns:
        [(number > 0, split, other split with the same images)].
    """
    digests = {split: stores.hashes(images) for split, images in arrays.items()}
    known = {split: set(rows) for split, rows in digests.items()}
    pairs = [(held, other) for held, other in (("validation", "train"), ("test", "train"), ("test", "validation"))
             if held in known and other in known]
    found = [(sum(row in known[other] for row in digests[held]), held, other) for held, other in pairs]
    return [row for row in found if row[0]]


def copies_line(name, arrays, what="images",
                advice="remove the copies, or keep them together with --group-by REGEX of the file name"):
    """A one-line warning about `copies` of rows, which are `what`, with an advice; or None."""
    found = copies(arrays)
    if not found:
        return None
    parts = ", ".join(f"{count} of {len(arrays[held])} {held} {what} are in {other} too" for count, held, other in found)
    return (f"copies across splits: of {name!r} {parts}, so figures on them flatter the model: {advice}")

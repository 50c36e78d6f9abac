"""Vectors of real numbers, and windows of a series, as data; their scale is part of the models that learn them."""

import dataclasses

import numpy as np

from tfgen.data.classes import class_of, classes_of, listed
from tfgen.data.dataset import Dataset
from tfgen.data.spec import DataSpec
from tfgen.data.splits import carve, copies_line
from tfgen.data.streams import check_int
from tfgen.errors import UserError, note

# Parts of a series in time order that are trained on, validated on and tested on, if it is not divided already.
PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def scaling(values):
    """{"location", "scale"} of a `DataSpec`: mean and standard deviation over all axes but the last; of constants 1."""
    flat = values.reshape(-1, values.shape[-1]).astype(float)
    constant, spread = flat.min(axis=0) == flat.max(axis=0), flat.std(axis=0)
    return {"location": tuple(flat.mean(axis=0).tolist()), "scale": tuple(np.where(constant, 1.0, spread).tolist())}


def rescaled(spec, values):
    """The spec of vectors with the scaling of other training rows; that of images as it is."""
    return dataclasses.replace(spec, **scaling(values)) if spec.vectors else spec


def vectors(values, labels=None, name="vectors", window=None, step=None, class_names=(), source=None, normal=None,
            anomalous=None, columns=()):
    """Vectors, or windows of a series, as a dataset.

    Values may have any scale: the spec holds the mean and the standard deviation of each column in the training split, and
    models standardise by them inside, so that verbs, signatures and files take and give values as they are here.

    Args:
        values: real numbers (N, D), or {split: such an array} with 'train'. Missing test and validation splits take a tenth
            of the rows each, by a fixed permutation. With `window`, a series (time, channels) in time order, or (time,): of
            one that is not divided, the first 80 % are trained on, the next 10 % validate and the last 10 % test.
        labels: classes int (N,), or {split: such an array}, or None; without class names, those that are not 0, 1, … are
            renumbered and have their numbers as names. Of a window it is the largest of its times, of those
            that are not normal if there are any.
        name: name of the dataset.
        window: times per window; None: rows are vectors.
        step: times from one window to the next, default `window`; validation and test windows do not overlap training ones.
        class_names: one name per class, or empty.
        source: the arguments of `load` that reproduce the dataset.
        normal, anomalous: of a series that `data.one_class` is given afterwards, the classes that it is given: a window with
            one time that is not normal is not.
        columns: one name per column of the table, or empty.

    Returns:
        `Dataset` of float32 rows (N, D), or (N, window, channels).

    Raises:
        UserError: for arrays of another kind, values that are not finite in float32, or too few rows.
    """
    values, labels = ({"train": given} if not isinstance(given, dict) else given for given in (values, labels))
    if "train" not in values:
        raise UserError(f"vectors(values) expects a split 'train', received {sorted(values)}")
    labels, classes, class_names = classes_of(
        {split: _labels(name, split, len(rows), labels.get(split)) for split, rows in values.items()}, class_names)
    splits = {split: (_checked(f"{split} of '{name}'", rows, window), labels[split]) for split, rows in values.items()}
    if window is None:
        if step is not None:
            raise UserError("--window-step expects --window: leave it out, or give the times per window")
        splits = carve(name, splits, what="rows")
    else:
        window = check_int("window", window, 1)
        step = check_int("window-step", window if step is None else step, 1)
        splits, ranks = _in_time(name, splits, window), _ranks(name, classes, class_names, normal, anomalous)
        splits = {split: windows(name, split, *pair, window, step, ranks) for split, pair in splits.items()}
        source = (source or {"name": name}) | {key: value for key, value in (("normal", normal), ("anomalous", anomalous))
                                               if value is not None}
    if len(shapes := {rows.shape[1:] for rows, _ in splits.values()}) > 1:
        raise UserError(f"expected rows of one shape in all splits of '{name}', received {sorted(shapes)}: divide one array")
    train = splits["train"][0]
    spec = DataSpec(name, train.shape[1:], classes, {split: len(rows) for split, (rows, _) in splits.items()},
                    class_names, columns=tuple(columns), **scaling(train))
    if line := copies_line(name, {split: rows for split, (rows, _) in splits.items()}, "rows", "remove the copies"):
        note(line)
    return Dataset(spec, splits, source)


def _checked(where, values, window):
    """Values as float32 (N, D)."""
    values = np.asarray(values)
    values = values[:, None] if window is not None and values.ndim == 1 else values
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiub":
        hint = "" if window is None else " or (times,)"
        raise UserError(f"expected numbers of shape (N, D){hint} in {where}, received {values.dtype} {values.shape}"
                        + (": give --window to make windows of a series" if values.ndim == 1 else ": reshape the array"))
    with np.errstate(over="ignore"):
        made = values.astype(np.float32)
    if not np.isfinite(made).all():
        row, column = np.argwhere(~np.isfinite(made))[0]
        raise UserError(f"expected finite numbers up to 3e38 in {where}, received {values[row, column]} in row {row}, "
                        f"column {column}: replace or rescale it")
    return made


def _labels(name, split, count, labels):
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iub" or int(labels.min(initial=0)) < 0:
        raise UserError(f"expected labels as integers >= 0 of shape ({count},) in {split} of '{name}', received "
                        f"{labels.dtype} {labels.shape}: give one class per row")
    return labels.astype(np.int64)


def _in_time(name, splits, window):
    """The splits of a series in time order; those that are missing are its last parts."""
    missing = [split for split in PARTS if split not in splits]
    if not missing:
        return splits
    rows, labels = splits["train"]
    shares = {split: PARTS[split] for split in PARTS if split == "train" or split in missing}
    ends = np.cumsum([len(rows) * share / sum(shares.values()) for share in shares.values()]).round().astype(int)
    starts = dict(zip(shares, [0, *ends], strict=False))
    parts = {split: (rows[start:end], None if labels is None else labels[start:end])
             for (split, start), end in zip(starts.items(), ends, strict=True)}
    if short := [split for split, (part, _) in parts.items() if len(part) < window]:
        least = round(window * sum(shares.values()) / min(shares.values()))
        raise UserError(f"expected a series of at least {least} times for windows of "
                        f"{window}, received {len(rows)} in '{name}', so that {short[0]} has no window: choose a shorter "
                        "--window")
    return {split: parts.get(split) or splits[split] for split in PARTS}


def _ranks(name, classes, class_names, normal, anomalous):
    """Rank of each class, by which a window takes the highest of its times: the number, but normal classes come first."""
    wanted, ranks = anomalous if normal is None else normal, np.arange(classes or 0)
    if wanted is None or classes is None:
        return ranks
    chosen = np.isin(ranks, [class_of(name, one, class_names, classes) for one in listed(wanted)])
    return ranks + classes * (chosen if normal is None else ~chosen)


def windows(name, split, series, labels, window, step, ranks=None):
    """(windows float32 (N, window, C), labels int64 (N,) or None) of a series (T, C) in time order.

    The label of a window is that of its times with the highest rank, (classes,); None: their numbers.
    """
    if len(series) < window:
        raise UserError(f"expected at least {window} times in {split} of '{name}', received {len(series)}: choose a shorter "
                        "--window")
    found = np.lib.stride_tricks.sliding_window_view(series, window, axis=0)[::step].transpose(0, 2, 1)
    if labels is None:
        return np.ascontiguousarray(found), None
    ranks = np.arange(1 + labels.max()) if ranks is None else ranks
    seen = np.lib.stride_tricks.sliding_window_view(labels, window)[::step]
    return np.ascontiguousarray(found), np.take_along_axis(seen, ranks[seen].argmax(axis=1)[:, None], axis=1)[:, 0]

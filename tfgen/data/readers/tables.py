"""Reads tables of numbers, a row per vector or time: .csv files, rank-2 arrays of .npz files, scikit-learn's sets."""

import collections
import csv
import functools
import io
import itertools
import math
import pathlib
import re
from typing import NamedTuple

import numpy as np

from tfgen.data import classes
from tfgen.data.readers import arrays
from tfgen.errors import UserError

BUILT_IN = ("iris", "wine", "breast_cancer")  # sets of vectors with classes that scikit-learn ships
DELIMITERS = ",;\t"
# Rows by which the delimiter is chosen.
FIRST = 20


class Table(NamedTuple):
    """What a table holds.

    Attributes:
        splits: {split: (values (N, D), labels int64 (N,) or None)}.
        class_names: one name per class, or ().
        columns: one name per column, or ().
    """

    splits: dict
    class_names: tuple = ()
    columns: tuple = ()


def built_in(name):
    """The `Table` of a set that scikit-learn ships, with the split train."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return Table({"train": (bunch.data, bunch.target.astype(np.int64))}, tuple(map(str, bunch.target_names)),
                 tuple(map(str, bunch.feature_names)))


def read(path, label=None):
    """The `Table` of a file, or None for a file of another kind. Classes that are numbered 0, 1, … have no names.

    Args:
        path: a .csv file, or a .npz file with the keys of `arrays.npz_arrays` whose arrays have rank 2 (or, as a series of
            one channel, rank 1) and are not uint8.
        label: of a .csv file, the column of the classes, by name or by number from 0; None: there is none.

    Raises:
        UserError: for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".csv" and path.is_file():
        table = read_csv(path, label)
        return table._replace(class_names=classes.names_of(table.class_names))
    if ending != ".npz" or not path.is_file():
        return None
    # Rows of uint8 are more likely images without their shape, which the reader of images refuses with advice.
    if any(rank not in (1, 2) or dtype == np.uint8 for rank, dtype in arrays.npz_kinds(path)):
        return None
    if label is not None:
        raise UserError(f"--label expects a .csv file, received {str(path)!r}, which holds its labels in an array of their "
                        "own: leave it out")
    return Table({split: (values, None if labels is None else _integers(f"labels of {split} in {str(path)!r}", labels))
                  for split, (values, labels) in arrays.npz_arrays(path).items()})


def rows_of(path, label=None, columns=(), size=None):
    """(rows, labels or None, class names) of a table to be judged or encoded: a .csv, .npz (its test split, if it has one)
    or .npy file.

    Args:
        path: the file.
        label: of a .csv file, the column of the classes, which may be missing; None: there is none.
        columns: names of the values in the order that is wanted, or (); those of a .csv file that has names are put in it.
        size: number of values per row that is wanted; with just so many columns, a .csv file has none of classes.

    Raises:
        UserError: for a file that cannot be read, or whose columns have other names.
    """
    ending = path.suffix.lower()
    if not path.is_file() or ending not in (".csv", ".npz", ".npy"):
        raise UserError(f"expected rows in a .csv, .npz or .npy file, received {path}: name one that is there")
    if ending == ".csv":
        table = read_csv(path, label, size)
        values, labels = table.splits["train"]
        return _ordered(path, values, table.columns, columns), labels, table.class_names
    if ending == ".npz":
        found = arrays.npz_arrays(path)
        values, labels = found.get("test", found["train"])
        return values, None if labels is None else _integers(f"labels in {str(path)!r}", labels), ()
    return arrays.read_npy(path), None, ()


def _ordered(path, values, found, wanted):
    """Values with their columns in the order that is wanted, where both have names."""
    if not found or not wanted or found == tuple(wanted):
        return values
    if sorted(found) != sorted(wanted):
        missing = [name for name in wanted if name not in found] or [name for name in found if name not in wanted]
        raise UserError(f"expected the columns {', '.join(wanted[:20])} in {str(path)!r}, received {', '.join(found[:20])} "
                        f"(see {missing[0]!r}): name and choose them as the model's data")
    return values[:, [found.index(name) for name in wanted]]


def _integers(where, labels):
    labels = np.asarray(labels)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or labels.astype(np.int64).min(initial=0) < 0:
        raise UserError(f"expected {where} as integers >= 0 of shape (N,), received {labels.dtype} {labels.shape}: save "
                        "class indices from 0")
    return labels.astype(np.int64)


def read_csv(path, label=None, size=None):
    """The `Table` of a .csv file, with the split train and float64 values.

    Columns are separated by a comma, semicolon or tab: the one that divides most of the first rows into as many cells as the
    first, and these into numbers. The first row names the columns if the label is one of its cells, or if another cell is a
    text. Class names are the sorted texts of the label's column; whole numbers are sorted as such.

    Args:
        path: the file.
        label: the column of the classes, by number from 0 or by name; None: there is none.
        size: number of values per row, where the column of the classes may be missing; None: it must be there.

    Raises:
        UserError: for a file that is not UTF-8 text, an unknown column, rows of several lengths, a cell that is empty or no
            finite number, a missing class, columns of one name, or no rows.
    """
    try:
        text = pathlib.Path(path).read_text("utf-8-sig")
        rows = list(_rows(text, max(DELIMITERS, key=functools.partial(_agreeing, text))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"expected a .csv file of UTF-8 text in {str(path)!r}, it cannot be read ({error}): save it "
                        "again") from None
    if not rows:
        raise UserError(f"expected rows of numbers in {str(path)!r}, received an empty file: add some")
    names = [cell.strip() for cell in rows[0][1]]
    place, named = _place(path, label, names, size)
    named = named or any(_is_text(cell) for index, cell in enumerate(names) if index != place)
    if named:
        rows = rows[1:]
        if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
            raise UserError(f"expected columns of different names in {str(path)!r}, received {twice[0]!r} more than once: "
                            "rename them")
    else:
        names = [f"column {index}" for index in range(len(names))]
    values, texts = [], []
    for number, row in rows:
        if len(row) != len(names):
            raise UserError(f"expected {len(names)} cells in line {number} of {str(path)!r}, received {len(row)}: complete "
                            "it")
        numbers = [None if index == place else _number(cell) for index, cell in enumerate(row)]
        if bad := [index for index, one in enumerate(numbers) if one is None and index != place]:
            advice = "encode texts as numbers, fill in missing ones, or name the classes' column with --label"
            if _has_comma(row[bad[0]]):
                advice = "write decimal points"
            raise UserError(f"expected finite numbers in {str(path)!r}, received {row[bad[0]]!r} in line {number}, "
                            f"{names[bad[0]]}: {advice}")
        if place is not None and _is_missing(row[place]):
            raise UserError(f"expected a class in {str(path)!r}, received {row[place]!r} in line {number}, {names[place]}: "
                            "fill it in, or leave out the row (to judge rows, the column)")
        values.append([one for one in numbers if one is not None])
        texts.append(row[place].strip() if place is not None else "")
    if not values or not values[0]:
        raise UserError(f"expected rows with a number at least in {str(path)!r}, received none: add some")
    labels, class_names = _classes(texts, place)
    columns = tuple(name for index, name in enumerate(names) if index != place) if named else ()
    return Table({"train": (np.array(values), labels)}, class_names, columns)


def _rows(text, delimiter):
    """Yields (number of its last line, cells) of each row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return ((reader.line_num, row) for row in reader if any(map(str.strip, row)))


def _agreeing(text, delimiter):
    """How well a delimiter divides the first rows: (how many have as many cells as the first, two at least; the share of
    cells that are numbers)."""
    try:
        rows = [row for _, row in itertools.islice(_rows(text, delimiter), FIRST)]
    except csv.Error:  # a cell that is too long, as a whole line may be
        return 0, 0.0
    numbers = [_number(cell) is not None or _has_comma(cell) for row in rows for cell in row]
    return sum(len(row) == len(rows[0]) > 1 for row in rows), sum(numbers) / max(1, len(numbers))


def _place(path, label, names, size):
    """(index of the label's column or None, whether the first row has its name)."""
    if label is None or len(names) == size:
        return None, False
    text = str(label).strip()
    # The number first: the first row of a file without names is one of numbers.
    if text.isdecimal() and int(text) < len(names):
        return int(text), False
    if text in names:
        return names.index(text), True
    if size is not None:
        return None, False
    raise UserError(f"--label expects a column of {str(path)!r}: {', '.join(names[:20])}, or 0 to {len(names) - 1}, "
                    f"received {text!r}: use one of them")


def _is_text(cell):
    """Whether a cell is neither empty nor a number of any kind."""
    try:
        float(cell)
    except ValueError:
        return bool(cell)
    return False


def _has_comma(cell):
    """Whether a cell is a number with a decimal comma."""
    return bool(re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", cell.strip()))


def _is_missing(cell):
    """Whether a class is left empty, or is no number."""
    return cell.strip().lower() in ("", "nan")


def _number(text):
    """The finite number of a cell, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _classes(texts, place):
    """(labels int64 (N,), class names) of a column, or (None, ())."""
    if place is None:
        return None, ()
    whole = all(text.isdecimal() for text in texts)
    labels, class_names = classes.numbered({"train": np.array([int(text) if whole else text for text in texts], object)})
    return labels["train"], class_names

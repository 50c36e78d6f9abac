"""Reads tables of numbers, a row per vector or time: .csv files, rank-2 arrays of .npz files, scikit-learn's sets."""

import csv
import io
import pathlib

import numpy as np

from tfgen.data.readers import arrays
from tfgen.errors import UserError

BUILT_IN = ("iris", "wine", "breast_cancer")  # sets of vectors with classes that scikit-learn ships
DELIMITERS = ",;\t"


def built_in(name):
    """({'train': (values float64 (N, D), labels int64 (N,))}, class names) of a set that scikit-learn ships."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return {"train": (bunch.data, bunch.target.astype(np.int64))}, tuple(map(str, bunch.target_names))


def read(path, label=None):
    """What a table holds, as `built_in`; None for a file of another kind.

    Args:
        path: a .csv file, or a .npz file with the keys of `arrays.npz_arrays` whose arrays have rank 2 (or, as a series of
            one channel, rank 1) and are not uint8.
        label: of a .csv file, the column of the classes, by name or by number from 0; None: there is none.

    Raises:
        UserError: for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if ending == ".csv" and path.is_file():
        values, labels, names = read_csv(path, label)
        return {"train": (values, labels)}, names
    if ending != ".npz" or not path.is_file():
        return None
    found = arrays.npz_arrays(path)
    # Rows of uint8 are more likely images without their shape, which the reader of images refuses with advice.
    if any(values.ndim not in (1, 2) or values.dtype == np.uint8 for values, _ in found.values()):
        return None
    if label is not None:
        raise UserError(f"--label expects a .csv file, received {str(path)!r}, which holds its labels in an array of their "
                        "own: leave it out")
    return {split: (values, None if labels is None else _integers(f"labels of {split} in {str(path)!r}", labels))
            for split, (values, labels) in found.items()}, ()


def rows_of(path, label=None):
    """(rows, labels int64 (N,) or None) of a table to be judged or encoded: a .csv, .npz (its test split, if it has one) or
    .npy file.

    Args:
        path: the file.
        label: of a .csv file, the column of the classes, which may be missing; None: there is none.

    Raises:
        UserError: for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if not path.is_file() or ending not in (".csv", ".npz", ".npy"):
        raise UserError(f"expected rows in a .csv, .npz or .npy file, received {path}: name one that is there")
    if ending == ".csv":
        return read_csv(path, label, needed=False)[:2]
    if ending == ".npz":
        found = arrays.npz_arrays(path)
        values, labels = found.get("test", found["train"])
        return values, None if labels is None else _integers(f"labels in {str(path)!r}", labels)
    try:
        return np.load(path, allow_pickle=False), None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"expected an array of numbers in {path}, it cannot be read ({' '.join(str(error).split())[:100]}): "
                        "write it with np.save") from None


def _integers(where, labels):
    labels = np.asarray(labels)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or labels.astype(np.int64).min(initial=0) < 0:
        raise UserError(f"expected {where} as integers >= 0 of shape (N,), received {labels.dtype} {labels.shape}: save "
                        "class indices from 0")
    return labels.astype(np.int64)


def read_csv(path, label=None, needed=True):
    """(values float64 (N, D), labels int64 (N,) or None, class names) of a .csv file.

    Columns are separated by a comma, semicolon or tab. If a cell of the first row, other than a label, is no number, the
    row names the columns. Class names are the sorted texts of the label's column, or () if these are 0, 1, …. Unless
    `needed`, the label's column may be missing.

    Raises:
        UserError: for a file that is not UTF-8 text, an unknown column, rows of several lengths, a cell that is empty or no
            finite number, or no rows.
    """
    try:
        text = pathlib.Path(path).read_text("utf-8-sig")
        delimiter = max(DELIMITERS, key=text.lstrip().partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"expected a .csv file of UTF-8 text in {str(path)!r}, it cannot be read ({error}): save it "
                        "again") from None
    if not rows:
        raise UserError(f"expected rows of numbers in {str(path)!r}, received an empty file: add some")
    names = [cell.strip() for cell in rows[0][1]]
    place = _place(path, label, names, needed)
    if any(_number(cell) is None for index, cell in enumerate(names) if index != place):
        rows = rows[1:]
    else:
        names = [f"column {index}" for index in range(len(names))]
    values, texts = [], []
    for number, row in rows:
        if len(row) != len(names):
            raise UserError(f"expected {len(names)} cells in line {number} of {str(path)!r}, received {len(row)}: complete "
                            "it")
        numbers = [None if index == place else _number(cell) for index, cell in enumerate(row)]
        if bad := [index for index, one in enumerate(numbers) if one is None and index != place]:
            raise UserError(f"expected finite numbers in {str(path)!r}, received {row[bad[0]]!r} in line {number}, "
                            f"{names[bad[0]]}: encode texts as numbers, fill in missing ones, or name the classes' column "
                            "with --label")
        values.append([one for one in numbers if one is not None])
        texts.append(row[place].strip() if place is not None else "")
    if not values or not values[0]:
        raise UserError(f"expected rows with a number at least in {str(path)!r}, received none: add some")
    return np.array(values), *_classes(texts, place)


def _place(path, label, names, needed):
    """Index of the label's column, or None."""
    if label is None:
        return None
    text = str(label).strip()
    # The number first: the first row of a file without names is one of numbers.
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    if text in names:
        return names.index(text)
    if not needed:
        return None
    raise UserError(f"--label expects a column of {str(path)!r}: {', '.join(names[:20])}, or 0 to {len(names) - 1}, "
                    f"received {text!r}: use one of them")


def _number(text):
    """The finite number of a cell, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _classes(texts, place):
    """(labels int64 (N,), class names) of a column, or (None, ())."""
    if place is None:
        return None, ()
    known = sorted(set(texts))
    if all(text.isdecimal() for text in known):
        return np.array(list(map(int, texts)), np.int64), ()
    numbers = {text: number for number, text in enumerate(known)}
    return np.array([numbers[text] for text in texts], np.int64), tuple(known)

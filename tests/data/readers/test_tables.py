"""Tables of numbers: .csv files as people have them, arrays, windows."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data.readers import tables
from tfgen.errors import UserError


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("text, label, wanted, labels, names", [
    ("1,2\n3,4\n", None, [[1, 2], [3, 4]], None, ()),
    ("a;b\n1;2\n\n3;4.5e0\n", None, [[1, 2], [3, 4.5]], None, ()),
    ("\ufeffa\tkind\tb\r\n1\tred\t2\r\n3\tblue\t4\r\n", "kind", [[1, 2], [3, 4]], [1, 0], ("blue", "red")),
    ("1,2,1\n3,4,0\n", "2", [[1, 2], [3, 4]], [1, 0], ()),
    ("400,410,class\n1,2,0\n3,4,1\n", "class", [[1, 2], [3, 4]], [0, 1], ()),
    ("1,2\n3,10\n5,2\n7,01\n", "1", [[1], [3], [5], [7]], [1, 2, 1, 0], ("1", "2", "10")),
    ("1,0\n3,2\n", "1", [[1], [3]], [0, 1], ("0", "2")),
    ('x,"y, in\nmm"\n 1 ,"-2"\n', None, [[1, -2]], None, ()),
    ('"width, mm";"height, mm";"class, text"\n1;2;a\n3;4;b\n', "class, text", [[1, 2], [3, 4]], [0, 1], ("a", "b")),
    ("1,2,a;b\n3,4,c;d\n", "2", [[1, 2], [3, 4]], [0, 1], ("a;b", "c;d")),
    ("a;b,c\n1,2\n3,4\n", None, [[1, 2], [3, 4]], None, ()),
    ("v\n1\n2\n", None, [[1], [2]], None, ())])
def test_csv(written, text, label, wanted, labels, names):
    table = tables.read(written(text), label)
    (values, found), classes = table.splits["train"], table.class_names
    np.testing.assert_array_equal(values, wanted)
    assert (found if labels is None else found.tolist()) == labels and classes == names


def test_columns_are_known_by_name(written):
    """A file to be judged may have them in another order, or no names; others are refused."""
    assert tables.read_csv(written("a,kind,b\n1,x,2\n"), "kind").columns == ("a", "b")
    assert tables.read_csv(written("1,2\n")).columns == ()
    assert tables.rows_of(written("b,a\n1,2\n"), columns=("a", "b"), size=2)[0].tolist() == [[2, 1]]
    assert tables.rows_of(written("1,2\n"), columns=("a", "b"), size=2)[0].tolist() == [[1, 2]]
    with pytest.raises(UserError, match="expected the columns a, b in .*, received a, c"):
        tables.rows_of(written("a,c\n1,2\n"), columns=("a", "b"), size=2)


@pytest.mark.parametrize("text, label, message", [
    ("", None, "received an empty file"),
    ("a,b\n", None, "expected rows with a number at least"),
    ("a,b\n1,2\n3\n", None, "expected 2 cells in line 3 of .* received 1"),
    ("a,b\n1,2\n3,x\n", None, "received 'x' in line 3, b: encode texts as numbers"),
    ("a,b\n1,2\n3,\n", None, "received '' in line 3, b"),
    ("1,2\n3,nan\n", None, "received 'nan' in line 2, column 1"),
    ("1,,3\n4,5,6\n", None, "received '' in line 1, column 1"),
    ("1,nan\n4,5\n", None, "received 'nan' in line 1, column 1"),
    ("a,b\n1,2\n", "c", "--label expects a column of .*: a, b, or 0 to 1, received 'c'"),
    ("1,5;2,5\n3,5;4,5\n", None, "received '3,5' in line 2, 1,5: write decimal points"),
    ('a\tb\n1\t"-2,5e3"\n', None, "received '-2,5e3' in line 2, b: write decimal points"),
    ("x,kind\n1,a\n2, \n", "kind", "expected a class in .*, received ' ' in line 3, kind: fill it in"),
    ("1,0\n2,NaN\n", "1", "expected a class in .*, received 'NaN' in line 2, column 1"),
    ("b,a,a\n10,1,2\n", None, "expected columns of different names in .*, received 'a' more than once: rename them"),
    ("k,x,k\n1,1,2\n", "k", "expected columns of different names in .*, received 'k' more than once"),
    ("kind\nred\n", "kind", "expected rows with a number at least")])
def test_csv_that_is_refused(written, text, label, message):
    with pytest.raises(UserError, match=message):
        tables.read_csv(written(text), label)
    with pytest.raises(UserError, match="expected a .csv file of UTF-8 text"):
        tables.read_csv(written("a,\xe4\n1,2\n", "latin-1"))


def test_a_row_longer_than_a_cell_may_be(written):
    """Read by another delimiter it is one cell, of more characters than the library takes."""
    text = ",".join("0.12345" for _ in range(20_000))
    assert tables.read_csv(written(f"{text}\n{text}\n")).splits["train"][0].shape == (2, 20_000)


def test_tables_are_loaded(written, tmp_path):
    path = written("x,y,kind\n" + "".join(f"{n},{n * n},{'bad' if n % 3 else 'good'}\n" for n in range(60)))
    found = data.load(path, label="kind", normal="good")
    assert found.spec.name == "table: good" and found.spec.image_shape == (2,) and found.spec.view == "one_class"
    again = data.load(**found.source)
    assert again.spec == found.spec and again.digest() == found.digest()
    series = data.load(written("v\n" + "".join(f"{n}\n" for n in range(400))), window=8, window_step=4)
    assert series.spec.image_shape == (8, 1) and data.load(**series.source).digest() == series.digest()
    file = tmp_path / "arrays.npz"
    np.savez(file, x_train=np.random.default_rng(0).random((40, 5)), y_train=np.arange(40) % 2, x_test=np.ones((6, 5)))
    assert data.load(file).spec.sizes == {"train": 36, "validation": 4, "test": 6}
    with pytest.raises(UserError, match="--label expects a .csv file"):
        data.load(file, label="y")


def test_rows_to_judge(written, tmp_path):
    """The column of classes may be missing; arrays are read from .npz and .npy, too."""
    assert tables.rows_of(written("a,b\n1,2\n"), "kind", size=2)[0].tolist() == [[1, 2]]
    for text, label in (("a,kind\n1,0\n", "kind"), ("1,0\n", 1)):
        values, labels, _ = tables.rows_of(written(text), label, size=1)
        assert values.tolist() == [[1]] and labels.tolist() == [0]
    # A number is the column of classes only where there is one more than values.
    assert tables.rows_of(written("1,2\n"), "0", size=2)[0].tolist() == [[1, 2]]
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    np.savez(tmp_path / "a.npz", x_train=np.zeros((2, 3)), x_test=np.ones((1, 3)))
    assert tables.rows_of(tmp_path / "a.npy")[0].shape == (2, 3) and tables.rows_of(tmp_path / "a.npz")[0].shape == (1, 3)
    (tmp_path / "b.npy").write_bytes(b"no array")
    for name, message in (("none.csv", "name one that is there"), ("b.npy", "it cannot be read")):
        with pytest.raises(UserError, match=message):
            tables.rows_of(tmp_path / name)

"""Tensors in the JSON of TF Serving's REST API, and in .npz files."""

import base64
import binascii
import contextlib
import functools
import io
import itertools
import json
import math
import re
import types
import zipfile

import numpy as np
import orjson

from tfgen.data.readers.arrays import header_of
from tfgen.serving.refusals import refuse, text_of

KINDS = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}, "O": {str, dict}}
INFINITE = (b"NaN", b"Infinity")
# Bodies of more bytes are searched for one long list, in whose place stands a text that no client sends.
LONG, PLACE, PLACED = 512, b'"\\u0000list"', "\0list"


class Numbers:
    """The one list of a body, whose numbers are read without Python's nested lists: a third of the time for an image.

    Args:
        body: the JSON text.
        start, end: where the list begins and ends.
    """

    # Digits, signs, points and exponents become "0"; brackets and commas stay; spaces go.
    KINDS = bytes.maketrans(b"123456789.eE+-", b"0" * 14)

    def __init__(self, body, start, end):
        self.body, self._text = body, body[start:end]

    def array(self, name, dtype, shape):
        """The array (N, *shape[1:]) of the list, or None unless it holds just that many numbers in these brackets."""
        if dtype.kind not in "fiu" or not shape or None in shape[1:]:
            return None
        bare = self._text.translate(self.KINDS, b" \t\r\n")
        row = _brackets(shape[1:])
        rows = (len(bare.translate(None, b"0")) - 1) // (len(row) + 1)
        if b"0[" in bare or b"]0" in bare or bare.translate(None, b"0") != b"[" + b",".join([row] * rows) + b"]":
            return None
        try:
            flat = orjson.loads(b"[" + self._text.translate(None, b"[]") + b"]")
        except orjson.JSONDecodeError:
            return None
        kinds = set(map(type, flat))
        return _numbers(name, flat, kinds, dtype).reshape(-1, *shape[1:]) if kinds <= KINDS[dtype.kind] else None


@functools.cache
def _brackets(shape):
    """The brackets and commas of nested lists: (2, 1) -> b"[[],[]]"."""
    return b"[" + b",".join([_brackets(shape[1:])] * shape[0]) + b"]" if shape else b""


def parse(body):
    """The object of a JSON text; NaN, Infinity and -Infinity are numbers. A long list may be a `Numbers`.

    Raises:
        Refused: for text that is no JSON object.
    """
    if len(body) > LONG:
        start, end = body.find(b"["), body.rfind(b"]") + 1
        try:
            found = orjson.loads(body[:start] + PLACE + body[end:])
        except orjson.JSONDecodeError:
            return _parse(body)
        keys = [key for key in ("instances", "inputs") if type(found) is dict and found.get(key) == PLACED]
        # A quote inside were another key, or a text.
        if keys and body.find(b'"', start, end) < 0:
            return found | {keys[0]: Numbers(body, start, end)}
    return _parse(body)


def _parse(body):
    """The object of a JSON text, as Python's dicts and lists."""
    if not body:
        refuse("JSON Parse error: The document is empty")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        found = _lenient(body, error)
    if not isinstance(found, dict):
        refuse("JSON Value: Is not object; expected {\"instances\": [...]} or {\"inputs\": ...}")
    return found


def _lenient(body, error):
    if any(word in body for word in INFINITE):
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as second:
            error = second
    refuse(f"JSON Parse error: {error}")


def inputs_of(found, signature):
    """({input: array}, whether rows are objects) of a request's object.

    Args:
        found: an object with either "instances" (a list of rows) or "inputs" (columns).
        signature: a `versions.Signature`.

    Raises:
        Refused: for values that are not rectangular or not of the signature's dtypes, and for other inputs than its own.
    """
    if ("instances" in found) == ("inputs" in found):
        refuse("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"
               if "inputs" in found else "Missing 'inputs' or 'instances' key")
    names, key = list(signature.inputs), "inputs" if "inputs" in found else "instances"
    if isinstance(found[key], Numbers):
        array = found[key].array(names[0], *signature.inputs[names[0]][1:]) if len(names) == 1 else None
        if array is not None:
            return {names[0]: array}, key == "instances"
        return inputs_of(_parse(found[key].body), signature)
    if key == "inputs":
        columns, rows = found["inputs"], False
        if not isinstance(columns, dict) or _is_bytes(columns):
            if len(names) != 1:
                refuse("inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                       f"tensorinfo_map: {','.join(names)}")
            columns = {names[0]: columns}
        if missing := [name for name in names if name not in columns]:
            refuse(f"Missing named input: {missing[0]} in 'inputs' object.")
    else:
        columns, rows = _columns(found["instances"], names), True
    return {name: tensor(name, columns[name], *signature.inputs[name][1:]) for name in names}, rows


def _columns(instances, names):
    """{input: list of its rows} of a list of rows."""
    if not isinstance(instances, list):
        refuse("Excepting 'instances' to be an list/array")
    if not instances:
        refuse("No values in 'instances' array")
    objects = [isinstance(row, dict) and not _is_bytes(row) for row in instances]
    if not any(objects):
        if len(names) != 1:
            refuse("instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                   f"tensorinfo_map: {','.join(names)}")
        return {names[0]: instances}
    if not all(objects):
        refuse(f"Expecting object but got list at item {objects.index(False)} of input list")
    for index, row in enumerate(instances):
        if row.keys() != set(names):
            refuse(f"Failed to process element: {index} of 'instances' list. JSON object: keys {','.join(row)} must be "
                   f"equal to: {','.join(names)}")
    return {name: [row[name] for row in instances] for name in names}


def _is_bytes(value):
    return value.keys() == {"b64"} and isinstance(value["b64"], str)


def tensor(name, value, dtype, shape):
    """The array of nested lists.

    Where the dtype is a number's, {"b64": ...} is its little-endian bytes: all rows, or one row per element of a list.

    Args:
        name: of the input, for messages.
        value: a number, text, bool, {"b64": text}, or nested lists of these.
        dtype, shape: those of the signature.
    """
    sides, flat = [], [value]
    while flat and type(flat[0]) is list:
        if (kinds := set(map(type, flat))) != {list}:
            refuse(f"input '{name}': JSON Value of type {_other(kinds, {list})} found at incorrect level: {len(sides)} in "
                   "the JSON DOM, expected a list")
        if len(sizes := set(map(len, flat))) != 1:
            refuse(f"input '{name}': Encountered list at unexpected size: {max(sizes)} at level: {len(sides)} expected "
                   f"size: {len(flat[0])}")
        sides.append(sizes.pop())
        flat = list(itertools.chain.from_iterable(flat))
    kinds = set(map(type, flat))
    if dtype.kind != "O" and kinds == {dict} and len(sides) < 2:
        return _raw(name, flat, dtype, shape)
    if not kinds <= KINDS.get(dtype.kind, set()):
        refuse(f"input '{name}': JSON Value of type {_other(kinds, KINDS.get(dtype.kind, set()))} is not of expected type: "
               f"{dtype}")
    if shape is not None and len(sides) != len(shape):
        refuse(f"input '{name}' expects shape {text_of(shape)}, received {text_of(sides)}")
    if dtype.kind == "O":
        array = _texts([text if type(text) is str else _decoded(name, text) for text in flat])
    else:
        array = _numbers(name, flat, kinds, dtype)
    try:
        return array.reshape(sides)
    except ValueError as error:  # more sides than arrays have, for an input of any rank
        refuse(f"input '{name}': {error}")


def _texts(flat):
    """The array of texts and bytes, as bytes."""
    array = np.empty(len(flat), object)
    array[:] = [text.encode("utf-8", "surrogatepass") if type(text) is str else text for text in flat]
    return array


def _other(kinds, wanted):
    names = {dict: "Object", list: "Array", str: "String", bool: "Bool", int: "Number", float: "Number", type(None): "Null"}
    return ", ".join(sorted(names[kind] for kind in kinds - wanted))


def _numbers(name, flat, kinds, dtype):
    try:
        array = np.array(flat, dtype) if dtype.kind != "f" else _floats(flat, dtype)
    except OverflowError:
        refuse(f"input '{name}': Cannot convert JSON value to {dtype} without loss of precision.")
    if dtype.kind == "f":
        lost = not np.isfinite(array).all() and any(math.isinf(one) and not math.isinf(two) for one, two in zip(array, flat))
        if lost or (int in kinds and max(abs(one) for one in flat if type(one) is int) >= 2 ** (np.finfo(dtype).nmant + 1)):
            refuse(f"input '{name}': Cannot convert JSON value to {dtype} without loss of precision.")
    return array


def _floats(flat, dtype):
    with np.errstate(over="ignore"):
        return np.array(flat, dtype)


def _decoded(name, value):
    if not _is_bytes(value):
        refuse(f"input '{name}': JSON Value not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        refuse(f"input '{name}': Unable to base64 decode")


def _raw(name, flat, dtype, shape):
    if shape is None or None in shape[1:]:
        refuse(f"input '{name}': base64 of numbers expects an input whose rows have one shape: send lists")
    data = b"".join(_decoded(name, value) for value in flat)
    size = dtype.itemsize * math.prod(shape[1:])
    if len(data) % size:
        refuse(f"input '{name}': base64 of numbers expects {size} bytes per row ({dtype}), received {len(data)} in all")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(-1, *shape[1:])


def dumps(made, rows):
    """The JSON text of outputs {name: array}: of rows ("predictions") or of columns ("outputs")."""
    single = next(iter(made.values())) if len(made) == 1 else None
    if not rows:
        return _text({"outputs": _plain(*made.popitem()) if single is not None else
                      {name: _plain(name, array) for name, array in made.items()}})
    if wrong := [name for name, array in made.items() if array.ndim == 0]:
        refuse(f"Tensor name: {wrong[0]} has no shape information")
    if len(sizes := {len(array) for array in made.values()}) > 1:
        refuse(f"outputs have inconsistent batch sizes: {sorted(sizes)}; ask for 'inputs' instead of 'instances'")
    if single is not None:
        return _text({"predictions": _plain(*made.popitem())})
    return _text({"predictions": [{name: _plain(name, array[row]) for name, array in made.items()}
                                  for row in range(sizes.pop())]})


def _text(value):
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(name, array):
    """What orjson writes for an array: numbers as they are, but for NaN and infinities; bytes as TF Serving writes them."""
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return _nested(array.tolist(), name.endswith("_bytes"))
    if array.dtype.kind == "f" and array.dtype.itemsize < 4:
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        words = iter(["NaN" if np.isnan(one) else "Infinity" if one > 0 else "-Infinity"
                      for one in array[~np.isfinite(array)].ravel()])
        return orjson.Fragment(re.sub(b"null", lambda _: next(words).encode(), _text(np.ascontiguousarray(array)[()])))
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _nested(value, as_bytes):
    if isinstance(value, list):
        return [_nested(one, as_bytes) for one in value]
    value = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode("utf-8", "replace")


class Npz:
    """The .npz file of a request, whose arrays are read only after their headers have been compared with the signature.

    Args:
        body: the bytes of the file.
        signature: a `versions.Signature`.
        most: largest number of rows.
        limit: largest size of its arrays together, in bytes.

    Attributes:
        size: that of its arrays, an empty text counted as one byte.

    Raises:
        Refused: for another file, larger arrays (413), and what the signature does not take.
    """

    def __init__(self, body, signature, most, limit):
        if not body.startswith(b"PK"):
            refuse("expected an .npz file, it cannot be read (it does not begin as a zip archive)")
        with _readable():
            self._archive = zipfile.ZipFile(io.BytesIO(body))
        members = self._archive.infolist()
        self._members = {one.filename.removesuffix(".npy"): one for one in members}
        if wrong := [one for one in members if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]:
            refuse(f"an .npz file expects members that are stored or deflated, received {wrong[0].filename}")
        large = f"the arrays of the .npz file expect at most {limit} bytes"
        if sum(one.file_size for one in members) > limit:
            refuse(large, http=413)
        with _readable():
            headers = {name: self._header(one) if name in signature.inputs else None for name, one in self._members.items()}
        self.size = sum(math.prod(one.shape) * max(one.dtype.itemsize, 1) for one in headers.values() if one)
        if self.size > limit:
            refuse(large, http=413)
        for one in headers.values():
            if one and one.dtype.kind == "U":
                one.dtype = np.dtype(object)
        signature.check(headers, (), most)

    def arrays(self):
        """{input: array}, texts as bytes."""
        with _readable():
            return {name: self._array(one) for name, one in self._members.items()}

    def _header(self, member):
        """The dtype and shape of an array."""
        with self._archive.open(member) as file:
            shape, dtype = header_of(file)
        return types.SimpleNamespace(dtype=dtype, shape=shape)

    def _array(self, member):
        with self._archive.open(member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        return _texts(array.ravel().tolist()).reshape(array.shape) if array.dtype.kind == "U" else array


@contextlib.contextmanager
def _readable():
    """Context manager: what zipfile and NumPy raise, which is whatever a file leads them to, refuses the file."""
    try:
        yield
    except Exception as error:
        refuse(f"expected an .npz file, it cannot be read ({type(error).__name__}: {error})")


def write_npz(made):
    """The bytes of an .npz file of outputs {name: array}."""
    file = io.BytesIO()
    np.savez(file, **{name: np.array(_nested(array.tolist(), False)) if array.dtype.kind == "O" else array
                      for name, array in made.items()})
    return file.getvalue()

"""Tensors in JSON, against values worked by hand and TF Serving's rules."""

import base64
import io
import json
import time
import zipfile

import numpy as np
import pytest

json_tensors = pytest.importorskip("tfgen.serving.json_tensors", reason="the extra 'serving' is not installed")

F, N, B, S = (np.dtype(name) for name in ("float32", "int64", "bool", "O"))


class Two:
    inputs = {"label": ("l", N, (None,)), "x": ("x", F, (None, 2))}


class One:
    inputs = {"x": ("x", F, (None, 2))}


def refused(words, call, *given):
    from tfgen.serving.refusals import Refused

    with pytest.raises(Refused) as caught:
        call(*given)
    assert words in str(caught.value) and caught.value.code == "INVALID_ARGUMENT", str(caught.value)


@pytest.mark.parametrize("text, dtype, wanted", [
    ("3", F, np.float32(3)),
    ("[1, 2.5]", F, [1, 2.5]), ("[[1], [2]]", N, [[1], [2]]), ("[]", F, []), ("[[], []]", F, [[], []]),
    ("[true, false]", B, [True, False]), ('["a", {"b64": "/w=="}]', S, [b"a", b"\xff"]),
    ("[NaN, Infinity, -Infinity]", F, [np.nan, np.inf, -np.inf]), ("[9007199254740993]", N, [9007199254740993])])
def test_values(text, dtype, wanted):
    value = json_tensors.parse(b'{"v": ' + text.encode() + b"}")["v"]
    made = json_tensors.tensor("x", value, dtype, None)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, np.array(wanted, dtype))
    assert made.shape == np.shape(wanted)


@pytest.mark.parametrize("text, dtype, words", [
    ("[[1], [2, 3]]", F, "unexpected size"), ("[[1], 2]", F, "incorrect level"), ("[1, [2]]", F, "Array is not of expected"),
    ('["1"]', F, "String is not of expected type: float32"), ("[1.5]", N, "Number is not of expected type: int64"),
    ("[true]", F, "Bool is not of expected"), ("[null]", F, "Null is not of expected"), ("[1e39]", F, "loss of precision"),
    ("[16777217]", F, "loss of precision"), ("[9223372036854775808]", N, "loss of precision"), ("[1]", S, "not of expected"),
    ('[{"b64": "!"}]', S, "Unable to base64 decode"), ('[{"c": "x"}]', S, "not formatted correctly for base64"),
    ('[[{"b64": "AA=="}]]', F, "Object is not of expected"), ("[[1]]", F, "expects shape [-1], received [1,1]"),
    ("1", F, "expects shape [-1], received []"), ("[" * 70 + "1" + "]" * 70, F, "received [1,1,1,"),
    ("[" * 70 + '"a"' + "]" * 70, S, "received [1,1,1,")])
def test_wrong_values(text, dtype, words):
    refused(words, json_tensors.tensor, "x", json.loads(text), dtype, (None,))


def test_an_input_of_any_rank_has_as_many_sides_as_arrays():
    assert json_tensors.tensor("x", [[[1]]], F, None).shape == (1, 1, 1)
    refused("input 'x': ", json_tensors.tensor, "x", json.loads("[" * 70 + "1" + "]" * 70), F, None)


def test_base64_of_numbers():
    rows = np.array([[1, 2], [3, 4.5]], "<f4")
    text = [base64.b64encode(part.tobytes()).decode() for part in (rows, rows[0], rows[1])]
    for value in ({"b64": text[0]}, [{"b64": text[1]}, {"b64": text[2]}]):
        np.testing.assert_array_equal(json_tensors.tensor("x", value, F, (None, 2)), rows)
    refused("8 bytes per row", json_tensors.tensor, "x", {"b64": text[0][:8]}, F, (None, 2))
    refused("rows have one shape", json_tensors.tensor, "x", {"b64": text[0]}, F, (None, None))


@pytest.mark.parametrize("body, signature, x, label, rows", [
    ({"instances": [[1, 2], [3, 4]]}, One, [[1, 2], [3, 4]], None, True),
    ({"instances": [{"x": [1, 2], "label": 5}]}, Two, [[1, 2]], [5], True),
    ({"inputs": [[1, 2]]}, One, [[1, 2]], None, False),
    ({"inputs": {"x": [[1, 2], [3, 4]], "label": [5, 6]}}, Two, [[1, 2], [3, 4]], [5, 6], False)])
def test_rows_and_columns(body, signature, x, label, rows):
    made, as_rows = json_tensors.inputs_of(body, signature)
    np.testing.assert_array_equal(made["x"], x)
    assert as_rows is rows and (label is None or made["label"].tolist() == label)


@pytest.mark.parametrize("body, words", [
    ({}, "Missing 'inputs' or 'instances'"), ({"inputs": [], "instances": []}, "only one of"),
    ({"instances": {}}, "list/array"), ({"instances": []}, "No values in"), ({"instances": [[1, 2]]}, "plain list"),
    ({"instances": [{"x": [1, 2]}]}, "must be equal to: label,x"), ({"instances": [{"x": 1, "label": 2}, 3]}, "item 1"),
    ({"inputs": [[1, 2]]}, "plain value/list"), ({"inputs": {"x": [[1, 2]]}}, "Missing named input: label")])
def test_wrong_bodies(body, words):
    refused(words, json_tensors.inputs_of, body, Two)


@pytest.mark.parametrize("body, words", [
    (b"", "The document is empty"), (b"{", "JSON Parse error"), (b"[1]", "Is not object"), (b"{\xff}", "JSON Parse error"),
    (b'{"a": ' + b"[" * 100_000, "JSON Parse error"), (b'{"NaN": ' + b"[" * 100_000, "JSON Parse error")])
def test_texts_that_are_no_object(body, words):
    refused(words, json_tensors.parse, body)


def test_outputs():
    x = np.array([[0.1, np.nan], [np.inf, -np.inf]], "f4")
    text = json_tensors.dumps({"x": x}, True)
    assert text == b'{"predictions":[[0.1,NaN],[Infinity,-Infinity]]}'
    both = {"is": np.array([True, False]), "n_bytes": np.array([b"\xff", b"a"], object), "s": np.array([b"a", b"b"], object)}
    assert json.loads(json_tensors.dumps(dict(both), True)) == {"predictions": [
        {"is": True, "n_bytes": {"b64": "/w=="}, "s": "a"}, {"is": False, "n_bytes": {"b64": "YQ=="}, "s": "b"}]}
    assert json.loads(json_tensors.dumps({"a": np.arange(2), "b": np.ones(3, "f4")}, False)) == {
        "outputs": {"a": [0, 1], "b": [1.0, 1.0, 1.0]}}
    refused("inconsistent batch sizes", json_tensors.dumps, {"a": np.arange(2), "b": np.ones(3, "f4")}, True)
    refused("no shape", json_tensors.dumps, {"a": np.array(2)}, True)


@pytest.fixture(scope="module")
def signature():
    """Takes rows x of 3 numbers and texts t."""
    from tensorflow.core.protobuf import meta_graph_pb2

    from tfgen.serving.versions import Signature

    made = meta_graph_pb2.SignatureDef()
    for name, dtype, sides in (("x", 1, (-1, 3)), ("t", 7, (-1,))):
        made.inputs[name].name, made.inputs[name].dtype = f"{name}:0", dtype
        for side in sides:
            made.inputs[name].tensor_shape.dim.add(size=side)
    return Signature(made)


def npz(compression=zipfile.ZIP_STORED, **members):
    """The bytes of a zip archive of arrays, or of what stands in their place."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, value in members.items():
            if not isinstance(value, bytes):
                array = io.BytesIO()
                np.save(array, value)
                value = array.getvalue()
            archive.writestr(f"{name}.npy", value)
    return file.getvalue()


def header(descr, shape):
    """A .npy file that has a header alone."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


X, T = np.ones((2, 3), "f4"), np.array(["a", "\xff"])


def test_npz(signature):
    for body in (json_tensors.write_npz({"x": X, "t": np.array([b"a", "\xff".encode()], object)}),
                 npz(x=X, t=T), npz(zipfile.ZIP_DEFLATED, x=np.asfortranarray(X), t=T)):
        found = json_tensors.Npz(body, signature, 10, 1000)
        assert found.size == X.nbytes + T.nbytes
        made = found.arrays()
        assert made["x"].tolist() == [[1, 1, 1]] * 2 and made["t"].tolist() == [b"a", "\xff".encode()]
        assert signature.check(made, (), 10) == 2


def encrypted(body):
    """The archive with the flag of encryption at its first member, there and in the directory."""
    body = bytearray(body)
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(start) + place] |= 1
    return bytes(body)


@pytest.mark.parametrize("body, words", [
    (b"PK\x03\x04 no archive", "cannot be read"), (b"", "does not begin as a zip archive"),
    (header("<f4", (0,)) + npz(x=X, t=T), "does not begin as a zip archive"),
    (npz(x=X, t=T)[:-30], "cannot be read"), (npz(x=b"nonsense", t=T), "cannot be read"),
    (npz(x=np.array([[{}, {}, {}]], object), t=T), "input 'x' expects dtype float32, received object"),
    (npz(x=X, t=np.array([{}, {}], object)), "Object arrays cannot be loaded"),
    (npz(x=header("<f4", (2, 3))[:90], t=T), "cannot be read"),
    (npz(x=b"\x93NUMPY\x01\x00\x08\x00{'descr'" + b" " * 20, t=T), "cannot be read (TokenError"),
    (npz(x=header("<f4", (2, 3)), t=T), "cannot be read"),
    (npz(x=header("<f4", (-2, 3)), t=header("<U1", (-2,))), "received -2"),
    (npz(x=header("<f4", (2,) + (1,) * 70), t=T), "expects shape [-1,3], received [2,1,1,"),
    (encrypted(npz(x=X, t=T)), "cannot be read (RuntimeError: File"),
    (npz(zipfile.ZIP_BZIP2, x=X, t=T), "members that are stored or deflated, received x.npy"),
    (npz(x=X), "Missing but required: {t}"), (npz(x=X, t=T, z=b""), "Sent extra: {z}"),
    (npz(x=X.astype(">f4"), t=T), "dtype float32, received >f4"),
    (npz(x=X.astype("<U1"), t=T), "dtype float32, received object"),
    (npz(x=X, t=np.array([b"a", b"b"])), "input 't' expects dtype object, received |S1"),
    (npz(x=X, t=T[:, None]), "input 't' expects shape [-1], received [2,1]"), (npz(x=X, t=T[:1]), "equal 0th-dimension"),
    (npz(x=np.ones((11, 3), "f4"), t=header("<U0", (11,))), "expects 1 to 10 rows, received 11"),
    (npz(x=X, t=header("<U1", (2,)) + b"\xff" * 8), "cannot be read")],
    ids=lambda value: value if type(value) is str else "")
def test_npz_faults_are_named(signature, body, words):
    refused(words, lambda: json_tensors.Npz(body, signature, 10, 1000).arrays())


@pytest.mark.parametrize("members, deflated", [
    ({"x": np.ones((1000, 3), "f4"), "t": T}, False), ({"x": X, "t": header("<U0", (10**8,))}, False),
    ({"x": X, "t": np.zeros(10**6, "<U1")}, True), ({"x": header("<f4", (10**30, 3)), "t": T}, False),
    ({"x": header("<f4", (2**62, 2**62, 8)), "t": T}, False)])
def test_npz_of_large_arrays_are_refused_at_once(signature, members, deflated):
    body, begun = npz(zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED, **members), time.perf_counter()
    refused("at most 1000 bytes", json_tensors.Npz, body, signature, 10, 1000)
    refused("", json_tensors.Npz, body, signature, 10, 10**9)  # by its rows or sides
    assert time.perf_counter() - begun < 1


class Image:
    inputs = {"x": ("x", F, (None, 2, 3, 1))}


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_long_lists_are_read_at_once(key):
    """The same array as through nested lists, with any spacing."""
    x = np.random.default_rng(0).normal(size=(40, 2, 3, 1)).astype("f4")
    x[0, 0, 0] = 1e-30
    for separators in ((",", ":"), (" ,\n", " : ")):
        body = json.dumps({"signature_name": "a", key: x.tolist()}, separators=separators).encode()
        found = json_tensors.parse(body)
        assert isinstance(found[key], json_tensors.Numbers) and found["signature_name"] == "a"
        made = found[key].array("x", *Image.inputs["x"][1:])
        np.testing.assert_array_equal(made, x)
        np.testing.assert_array_equal(json_tensors.inputs_of(found, Image)[0]["x"], x)
        assert json_tensors.inputs_of(found, Image)[1] is (key == "instances")
    # Another shape than the signature's is for the signature to refuse, with the shape that was sent.
    other = json_tensors.parse(json.dumps({key: x.reshape(-1, 3, 2, 1).tolist()}).encode())
    assert json_tensors.inputs_of(other, Image)[0]["x"].shape == (40, 3, 2, 1)


@pytest.mark.parametrize("old, new", [
    ("[0.0]", "0.0[]"), ("[0.0]", "[]0.0"), ("[0.0]", "[0.0.0]"), ("[0.0]", "[0 0]"), ("[0.0]", "[00.0]"), ("[0.0]", "[]"),
    ("[0.0]", "[0.0],[]"), ("[0.0]", "[0.0,]"), ("[0.0]", "[-]"), ("[0.0]", "[+1]"), ("[0.0]", '["0"]'), ("[0.0]", "[true]"),
    ("[0.0]", "0.0"), ("]]]]", "]]]"), ("]]]]}", "]]]]]}"), ("[0.0]", "[1e39]"), ("[0.0]", "[16777217]"),
    ("]]]]}", ']]]], "inputs": [1]}'), ("]]]]}", "]]]], 5}")])
def test_long_lists_with_a_fault_are_refused(old, new):
    x = np.zeros((40, 2, 3, 1), "f4")
    text = json.dumps({"instances": x.tolist()}).replace(", ", ",")
    assert text.count("[0.0]") == 240
    body = (text.replace(old, new, 1)).encode()
    assert body != text.encode()

    from tfgen.serving.refusals import Refused

    with pytest.raises(Refused):
        json_tensors.inputs_of(json_tensors.parse(body), Image)


def test_long_lists_with_infinities_and_other_keys():
    x = np.zeros((40, 2, 3, 1), "f4")
    text = json.dumps({"instances": x.tolist()})
    made = json_tensors.inputs_of(json_tensors.parse(text.replace("0.0", "NaN", 1).encode()), Image)[0]["x"]
    assert np.isnan(made[0, 0, 0, 0]) and (made.ravel()[1:] == 0).all()
    for body in (text[:-1] + ', "a": "]"}', '{"a": "[", ' + text[1:], text[:-1] + ', "a": [1]}'):
        assert json_tensors.inputs_of(json_tensors.parse(body.encode()), Image)[0]["x"].shape == x.shape
    late = json_tensors.parse((text[:-1] + ', "signature_name": "late", "a": [1]}').encode())
    assert late["signature_name"] == "late"

"""TensorFlow's C++ loader in a process of its own."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfgen.serving.native import LoadError
from tfgen.serving.saved_model import tensors


class Arithmetic(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x"), tf.TensorSpec((None,), tf.int64, "n"),
                                  tf.TensorSpec((None,), tf.string, "text")])
    def __call__(self, x, n, text):
        return {"doubled": 2.0 * x, "next": n + 1, "odd": n % 2 == 1, "letters": tf.strings.length(text)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arithmetic")
    module = Arithmetic()
    tf.saved_model.save(module, str(folder), {"serving_default": module.__call__})
    return folder


def test_every_type_of_number_and_texts_pass_through(path, loader):
    given, made = tensors(path)["serving_default"]
    loader.load(path)
    for rows in (0, 1, 3):
        inputs = {"x": np.arange(2 * rows, dtype="float32").reshape(rows, 2), "n": np.arange(rows) + 2**40,
                  "text": np.array(["", "a", "a text that is longer than a small string"][:rows], object)}
        out = loader.run({given[key]: array for key, array in inputs.items()}, made)
        assert {key: str(array.dtype) for key, array in out.items()} == {
            "doubled": "float32", "next": "int64", "odd": "bool", "letters": "int32"}
        np.testing.assert_array_equal(out["doubled"], 2 * inputs["x"])
        np.testing.assert_array_equal(out["next"], np.arange(rows) + 2**40 + 1)
        np.testing.assert_array_equal(out["odd"], [False, True, False][:rows])
        np.testing.assert_array_equal(out["letters"], [0, 1, 41][:rows])
    assert loader.seconds({given[key]: array for key, array in inputs.items()}, made, 0.0) > 0


def test_faults_are_told_and_the_process_goes_on(path, loader, tmp_path):
    given, made = tensors(path)["serving_default"]
    loader.load(path)
    x, good = np.zeros((1, 2), "float32"), {"n": np.zeros(1, "int64"), "text": np.array(["a"])}
    for inputs, message in (({"x": np.zeros((1, 2), "int64")} | good, "int64|Expects"), ({"x": x}, "text|n")):
        with pytest.raises(LoadError) as caught:
            loader.run({given[key]: array for key, array in inputs.items()}, made)
        assert "\n" not in str(caught.value) and any(word in str(caught.value) for word in message.split("|"))
    with pytest.raises(LoadError, match="no operation nosuch"):
        loader.run({"nosuch:0": x}, made)
    with pytest.raises(LoadError, match="Could not find SavedModel|cannot|No such"):
        loader.load(tmp_path)
    loader.load(path)
    assert loader.run({given[key]: array for key, array in ({"x": x + 1} | good).items()}, made)["doubled"].max() == 2


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="lists of loaded libraries are Linux'")
def test_the_process_has_tensorflows_cpp_and_not_its_python(path, loader):
    loader.load(path)
    libraries = pathlib.Path(f"/proc/{loader.process.pid}/maps").read_text()
    assert "libtensorflow_cc" in libraries and "_pywrap" not in libraries

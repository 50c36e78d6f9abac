"""TensorFlow's C++ loader of SavedModels through ctypes, in a process that never imports TensorFlow's Python.

`Loader` starts that process: this file, run as a script. It needs Python's library and NumPy only, and loads one SavedModel
after another. The loader is the code that TF Serving runs, too: what loads here does not depend on Python.
"""

import ctypes
import hashlib  # noqa: F401  # before TensorFlow's libraries, whose OpenSSL has the same symbols
import importlib.util
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

import numpy as np
import numpy.random  # noqa: F401  # before TensorFlow's libraries, too

# TensorFlow's numbers of the types that signatures have.
TYPES = {np.dtype("float32"): 1, np.dtype("int32"): 3, np.dtype("int64"): 9, np.dtype("bool"): 10}
DTYPES = {number: dtype for dtype, number in TYPES.items()}
STRING, STRING_BYTES = 7, 24
POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
# {function of TensorFlow's C API: type of its result}; all others return an int.
RESULTS = {"TF_NewStatus": POINTER, "TF_Message": ctypes.c_char_p, "TF_NewSessionOptions": POINTER, "TF_NewGraph": POINTER,
           "TF_LoadSessionFromSavedModel": POINTER, "TF_GraphOperationByName": POINTER, "TF_AllocateTensor": POINTER,
           "TF_TensorData": POINTER, "TF_TensorByteSize": SIZE, "TF_Dim": ctypes.c_int64,
           "TF_StringGetDataPointer": POINTER, "TF_StringGetSize": SIZE}


class Place(ctypes.Structure):
    """`TF_Output` of the C API: output `index` of an operation."""

    _fields_ = [("operation", POINTER), ("index", ctypes.c_int)]


class LoadError(RuntimeError):
    """What TensorFlow says of a SavedModel that it cannot load or run."""


def libraries():
    """TensorFlow's C API.

    Raises:
        LoadError: where TensorFlow has no shared libraries for C++.
    """
    folder = pathlib.Path(importlib.util.find_spec("tensorflow").origin).parent
    names = ("libtensorflow_framework", "libtensorflow_cc")
    found = [path for name in names for path in sorted(folder.glob(f"{name}.*"))[:1]]
    if len(found) < 2:
        raise LoadError(f"expected libtensorflow_framework and libtensorflow_cc in {folder}, found {len(found)} of them: "
                        "check exports on Linux or macOS")
    api = [ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL) for path in found][-1]
    for name, result in RESULTS.items():
        getattr(api, name).restype = result
    return api


class Session:
    """A SavedModel in TensorFlow's C++ runtime.

    Args:
        api: `libraries()`.
        path: folder of the SavedModel.
        config: serialised `ConfigProto` of the session; empty: TensorFlow's defaults.

    Raises:
        LoadError: if it cannot be loaded.
    """

    def __init__(self, api, path, config=b""):
        self.api, self.status = api, POINTER(api.TF_NewStatus())
        self.graph, options = POINTER(api.TF_NewGraph()), POINTER(api.TF_NewSessionOptions())
        api.TF_SetConfig(options, config, SIZE(len(config)), self.status)
        self.check()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = POINTER(api.TF_LoadSessionFromSavedModel(options, None, os.fsencode(path), tags, 1, self.graph, None,
                                                                self.status))
        api.TF_DeleteSessionOptions(options)
        self.check()

    def check(self):
        """Raises a `LoadError` if the last call failed."""
        if self.api.TF_GetCode(self.status):
            raise LoadError(" ".join(self.api.TF_Message(self.status).decode(errors="replace").split()))

    def place(self, name):
        """`Place` of a tensor's name, such as `"encode_x:0"`."""
        operation, _, index = name.partition(":")
        found = self.api.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise LoadError(f"the graph has no operation {operation}")
        return Place(found, int(index or 0))

    def run(self, feeds, fetches):
        """Arrays of the tensors `fetches` (names) for `feeds` {name: array}.

        Raises:
            LoadError: if TensorFlow fails.
        """
        values = (POINTER * len(feeds))(*(self.tensor(array) for array in feeds.values()))
        made = (POINTER * len(fetches))()
        try:
            self.api.TF_SessionRun(self.session, None, (Place * len(feeds))(*map(self.place, feeds)), values, len(feeds),
                                   (Place * len(fetches))(*map(self.place, fetches)), made, len(fetches), None, 0, None,
                                   self.status)
            self.check()
            return [self.array(POINTER(tensor)) for tensor in made]
        finally:
            for tensor in [*values, *made]:
                self.api.TF_DeleteTensor(POINTER(tensor))

    def tensor(self, array):
        """A new tensor with the values of an array of numbers or texts."""
        api, text = self.api, array.dtype.kind in "UO"
        array = array if text else np.ascontiguousarray(array)
        size = array.size * STRING_BYTES if text else array.nbytes
        made = api.TF_AllocateTensor(STRING if text else TYPES[array.dtype], (ctypes.c_int64 * array.ndim)(*array.shape),
                                     array.ndim, SIZE(size))
        data = api.TF_TensorData(POINTER(made))
        if not text:
            ctypes.memmove(data, array.ctypes.data, size)
            return made
        for index, value in enumerate(array.ravel()):
            place, value = POINTER(data + index * STRING_BYTES), str(value).encode()
            api.TF_StringInit(place)
            api.TF_StringCopy(place, value, SIZE(len(value)))
        return made

    def array(self, tensor):
        """The numbers of a tensor."""
        shape = [self.api.TF_Dim(tensor, axis) for axis in range(self.api.TF_NumDims(tensor))]
        data = ctypes.string_at(self.api.TF_TensorData(tensor), self.api.TF_TensorByteSize(tensor))
        return np.frombuffer(data, DTYPES[self.api.TF_TensorType(tensor)]).reshape(shape)

    def seconds(self, feeds, fetches, budget):
        """Median seconds of a run, after a first one that is not counted, over at least 1 run and `budget` seconds."""
        self.run(feeds, fetches)
        taken = []
        while sum(taken) < budget or not taken:
            start = time.perf_counter()
            self.run(feeds, fetches)
            taken.append(time.perf_counter() - start)
        return float(np.median(taken))

    def close(self):
        """Frees the session and its graph."""
        self.api.TF_CloseSession(self.session, self.status)
        self.api.TF_DeleteSession(self.session, self.status)
        self.api.TF_DeleteGraph(self.graph)
        self.api.TF_DeleteStatus(self.status)


class Loader:
    """A process with TensorFlow's C++ loader, ended by `close` or as a context manager.

    Methods send a request and wait for its answer; they raise a `LoadError` with TensorFlow's message.

    Args:
        config: serialised `ConfigProto` of sessions; empty: TensorFlow's defaults.
    """

    def __init__(self, config=b""):
        self.config = config
        self.log = tempfile.TemporaryFile()
        # -P: the folder of this file is no place to import from.
        self.process = subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, env={"TF_CPP_MIN_LOG_LEVEL": "2"} | os.environ)

    def load(self, path):
        """Loads the SavedModel in the folder `path` in place of the last one."""
        return self._ask("load", os.path.abspath(path), self.config)

    def run(self, feeds, fetches):
        """{key: array} of `fetches` {key: tensor's name} for `feeds` {tensor's name: array}."""
        return dict(zip(fetches, self._ask("run", feeds, list(fetches.values()))))

    def seconds(self, feeds, fetches, budget=0.5):
        """Median seconds per run, see `Session.seconds`; other arguments as for `run`."""
        return self._ask("seconds", feeds, list(fetches.values()), budget)

    def _ask(self, *request):
        try:
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()
            good, answer = pickle.load(self.process.stdout)
        except (EOFError, OSError) as error:
            code = self.process.wait()
            self.log.seek(0)
            said = " ".join(self.log.read()[-300:].decode(errors="replace").split())
            raise LoadError(f"the process of TensorFlow's C++ loader ended with code {code}: {said}") from error
        if not good:
            raise LoadError(answer)
        return answer

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def answer(requests, replies):
    """Answers pickled requests (name of a method, arguments …) until there are no more."""
    api = session = None
    while True:
        try:
            name, *arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            if name == "load":
                if session:
                    session.close()
                session, api = None, api or libraries()
                session, reply = Session(api, *arguments), None
            else:
                reply = getattr(session, name)(*arguments)
            pickle.dump((True, reply), replies)
        except LoadError as error:
            pickle.dump((False, str(error)), replies)
        replies.flush()


if __name__ == "__main__":
    # What libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer(sys.stdin.buffer, answers)

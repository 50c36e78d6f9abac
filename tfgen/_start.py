"""Start-up: checks Keras' backend; imports TensorFlow and Keras once, without their log messages."""

import contextlib
import functools
import os
import pathlib
import platform
import signal
import sys
import tempfile

# Whether this is the command `tfgen`, not a program that uses the library.
COMMAND = pathlib.PurePath(sys.argv[0] if sys.argv else "").stem == "tfgen"
# TensorFlow takes oneDNN's kernels by itself only on processors with AVX512-VNNI or newer, but convolutions of others are
# faster with them, too (`python -m benchmarks.settings --only onednn`). It reads this when it is imported.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def check_backend(backend):
    """Raises a one-line `ImportError` (the command `tfgen` exits with it) unless Keras' backend is TensorFlow."""
    if backend == "tensorflow":
        return
    message = (f"tfgen needs Keras' TensorFlow backend, received '{backend}': set KERAS_BACKEND=tensorflow, and import no "
               "Keras of another backend before")
    if COMMAND:
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(message) from None


@contextlib.contextmanager
def quiet():
    """Hides TensorFlow's start-up messages; prints them if the import fails."""
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" or sys.stderr is None:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            log.seek(0)
            os.write(2, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def interruptible():
    """Lets Ctrl-C end the command during its imports, which take seconds."""
    if not COMMAND:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def libraries():
    """Imports TensorFlow and Keras, once.

    Raises:
        ImportError: for a Keras with another backend.
    """
    with interruptible():
        with quiet():
            # Whose folders, where there is no home to write to, are temporary.
            import matplotlib.font_manager  # noqa: F401
            import tensorflow as tf

            # The first look for devices is what prints.
            only_cpus = all(device.device_type == "CPU" for device in tf.config.get_visible_devices())
        # With oneDNN's kernels, TensorFlow's rewriter that joins a convolution and its activation fails on graphs that also
        # want what lies between, and says so on standard error; on a CPU neither trainings nor samples were faster with it.
        if only_cpus and "remapping" not in tf.config.optimizer.get_experimental_options():
            tf.config.optimizer.set_experimental_options({"remapping": False})
        if COMMAND:
            tf.get_logger().setLevel("ERROR")
        try:
            import keras

            check_backend(keras.config.backend())
        except ModuleNotFoundError as error:
            # The backend of keras.json, which is not installed.
            if error.name not in ("jax", "torch", "openvino"):
                raise
            check_backend(error.name)

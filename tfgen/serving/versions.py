"""One version of a served model: its signatures, what they take, and its graph in a session."""

import contextlib
import pathlib
import threading

import numpy as np
import tensorflow as tf

from tfgen.serving import warmup
from tfgen.serving.refusals import refuse, text_of
from tfgen.serving.saved_model import DEFAULT


class Signature:
    """What a signature of a SavedModel takes and gives.

    Attributes:
        inputs, outputs: {name: (name of its tensor, numpy dtype, shape or None)}; unknown sides are None.
        joins: whether rows of several requests may share a batch: there are inputs, and the first side of each is unknown.
    """

    def __init__(self, definition):
        self.inputs, self.outputs = ({key: _spec(info) for key, info in sorted(side.items()) if info.name}
                                     for side in (definition.inputs, definition.outputs))
        self.joins = bool(self.inputs) and all(shape and shape[0] is None for _, _, shape in self.inputs.values())

    def check(self, inputs, outputs, most):
        """The number of rows of `inputs` {name: array, or anything with the dtype and shape of one}.

        Raises:
            Refused: other inputs than the signature's, another dtype, rank or shape, more than `most` rows, or an unknown
                name in `outputs`.
        """
        if inputs.keys() != self.inputs.keys():
            extra, missing = sorted(inputs.keys() - self.inputs.keys()), sorted(self.inputs.keys() - inputs.keys())
            refuse(f"input size does not match signature: {len(inputs)}!={len(self.inputs)} len({{{','.join(inputs)}}}) != "
                   f"len({{{','.join(self.inputs)}}}). Sent extra: {{{','.join(extra)}}}. "
                   f"Missing but required: {{{','.join(missing)}}}.")
        for name, array in inputs.items():
            _, dtype, shape = self.inputs[name]
            if array.dtype != dtype:
                refuse(f"input '{name}' expects dtype {dtype}, received {array.dtype}")
            if shape is not None and not _fits(array.shape, shape):
                refuse(f"input '{name}' expects shape {text_of(shape)}, received {text_of(array.shape)}")
        if wrong := [name for name in outputs if name not in self.outputs]:
            refuse(f"output tensor alias not found in signature: {wrong[0]} Outputs expected to be in the set "
                   f"{{{','.join(self.outputs)}}}.")
        if not self.joins:
            return 1
        rows = {array.shape[0] for array in inputs.values()}
        if len(rows) > 1:
            refuse("Batching Run() input tensors must have equal 0th-dimension size, received "
                   + ", ".join(f"{name} {text_of(array.shape)}" for name, array in inputs.items()))
        count = rows.pop()
        if not 1 <= count <= most:
            refuse(f"a request expects 1 to {most} rows, received {count}: send several requests")
        return count


def _spec(info):
    shape = None if info.tensor_shape.unknown_rank else tuple(
        None if side.size < 0 else side.size for side in info.tensor_shape.dim)
    return info.name, np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype), shape


def _fits(given, wanted):
    return len(given) == len(wanted) and all(side in (None, one) for one, side in zip(given, wanted))


@contextlib.contextmanager
def _without_warnings():
    """TensorFlow says that sessions are of version 1, which is why they are used: they run what TF Serving runs."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


class Version:
    """A loaded version of a model.

    Args:
        path: folder `<model>/<number>` of the SavedModel.
        threads: threads of an operation, as TensorFlow's `intra_op_parallelism_threads`; 0: one per core. The first
            session of a process decides.

    Raises:
        Exception: whatever TensorFlow raises for a SavedModel that cannot be loaded, or for a recorded request
            (`assets.extra/tf_serving_warmup_requests`) that fails.
    """

    def __init__(self, path, threads=0):
        self.path, self.number = pathlib.Path(path), int(pathlib.Path(path).name)
        self._lock, self._users, self._retired, self._calls = threading.Lock(), 0, False, {}
        graph, config = tf.Graph(), tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, allow_soft_placement=True)
        # Idle threads sleep: spinning ones take processor time from HTTP, which shares the cores.
        config.experimental.disable_thread_spinning = True
        with _without_warnings(), graph.as_default():
            self.session = tf.compat.v1.Session(graph=graph, config=config)
            try:
                meta = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(path))
                self.definitions = dict(meta.signature_def)
                self.signatures = {name: Signature(one) for name, one in self.definitions.items()
                                   if not name.startswith("__")}
                self._warm_up()
            except BaseException:
                self.session.close()
                raise

    def signature(self, name):
        """The `Signature` called `name`, or None."""
        return self.signatures.get(name or DEFAULT)

    def run(self, name, inputs, outputs=()):
        """Runs a signature.

        Args:
            name: the signature's name; "" is the default one.
            inputs: {input: array}, as `Signature.check` accepts them.
            outputs: names of the wanted outputs; none: all.

        Returns:
            {output: array}.
        """
        signature = self.signature(name)
        # In one order and once each, so that what clients ask for makes no more callables than there are sets of outputs.
        wanted = tuple(key for key in signature.outputs if not outputs or key in outputs)
        with self._lock:
            if (name, wanted) not in self._calls:
                self._calls[name, wanted] = self.session.make_callable(
                    [signature.outputs[key][0] for key in wanted], [spec[0] for spec in signature.inputs.values()])
        made = self._calls[name, wanted](*(inputs[key] for key in signature.inputs))
        return dict(zip(wanted, made, strict=True))

    def take(self):
        """Keeps the version loaded until `leave` is called as often."""
        with self._lock:
            self._users += 1
        return self

    def leave(self):
        """The end of one use."""
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self._close()

    def retire(self):
        """Unloads the version when its last user has left."""
        with self._lock:
            self._retired, idle = True, self._users == 0
        if idle:
            self._close()

    def _close(self):
        self._calls.clear()
        self.session.close()

    def _warm_up(self):
        """Runs the recorded requests of the export, as TF Serving does."""
        if not (self.path / warmup.FILE).exists():
            return
        from tensorflow_serving.apis import prediction_log_pb2

        for record in tf.compat.v1.io.tf_record_iterator(str(self.path / warmup.FILE)):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.run(request.model_spec.signature_name,
                     {key: tf.make_ndarray(value) for key, value in request.inputs.items()})

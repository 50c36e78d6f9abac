"""TF Serving's gRPC services: PredictionService (Predict, GetModelMetadata) and ModelService (GetModelStatus)."""

import hmac
import math
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

from tfgen.serving import answers
from tfgen.serving.refusals import of, refuse
from tfgen.serving.saved_model import DEFAULT

PATIENCE = 600.0  # seconds for which a request without a deadline waits
WORKERS = 64
SIDES = 64  # that arrays have at most, of NumPy 2


def array_of(name, message, limit):
    """The array of a TensorProto; its bytes are not copied.

    Raises:
        Refused: for one of more than `limit` bytes, of a dtype or shape that arrays cannot have, or whose values do not fill
            its shape.
    """
    if len(message.tensor_shape.dim) > SIDES:
        refuse(f"input '{name}' expects at most {SIDES} dimensions, received {len(message.tensor_shape.dim)}")
    shape = [side.size for side in message.tensor_shape.dim]
    try:
        dtype = np.dtype(tf.dtypes.as_dtype(message.dtype).as_numpy_dtype)
    except (TypeError, KeyError):  # no dtype, and one of resources or variants
        refuse(f"input '{name}' expects a dtype of numbers or texts, received {message.dtype}")
    if message.tensor_shape.unknown_rank or any(side < 0 for side in shape):
        refuse(f"input '{name}' expects a known shape, received {shape}")
    if math.prod(shape) * dtype.itemsize > limit:
        refuse(f"input '{name}' expects at most {limit} bytes, received shape {shape}: send fewer rows")
    packed = dtype.kind != "O" and message.tensor_content
    if packed and len(packed) != math.prod(shape) * dtype.itemsize:
        refuse(f"input '{name}' of shape {shape} expects {math.prod(shape) * dtype.itemsize} bytes, received {len(packed)}")
    try:
        return np.frombuffer(packed, dtype).reshape(shape) if packed else tf.make_ndarray(message)
    except Exception as error:  # NumPy and TensorFlow raise whatever a message leads them to
        refuse(f"input '{name}' of shape {shape} has other values ({error})")


def message_of(array):
    """The TensorProto of an array."""
    if array.dtype.kind in "OSU":
        return tf.make_tensor_proto(array)
    made = tensor_pb2.TensorProto(dtype=tf.dtypes.as_dtype(array.dtype).as_datatype_enum,
                                  tensor_content=array.tobytes())
    for side in array.shape:
        made.tensor_shape.dim.add(size=side)
    return made


class Waits:
    """A thread that waits for one task."""

    def __init__(self):
        self._told = threading.Event()

    def told(self, tasks):
        self._told.set()

    def end(self, task, seconds):
        """Waits for a task; returns its outputs or raises its error."""
        if not self._told.wait(seconds):
            refuse("the deadline passed while the request waited", "DEADLINE_EXCEEDED")
        if task.error is not None:
            raise task.error
        return task.made


class Services(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """Both services; methods are named as in their definitions.

    Args:
        models: a `Models`.
        metrics: a `Metrics`.
        token: what clients send as metadata `authorization: Bearer TOKEN`; None: nothing.
        limit: largest size of a request in bytes.
    """

    def __init__(self, models, metrics, token=None, limit=2**24):
        self.models, self.metrics, self.limit = models, metrics, limit
        self._secret = None if token is None else f"Bearer {token}".encode()

    def Predict(self, request, context):
        return self._answered(request, context, lambda model: self._predict(request, context, model))

    def GetModelMetadata(self, request, context):
        def describe(model):
            if not request.metadata_field:
                refuse("GetModelMetadataRequest must specify at least one metadata_field")
            if wrong := [field for field in request.metadata_field if field != answers.FIELD]:
                refuse(f"Metadata field {wrong[0]} is not supported")
            return answers.metadata(model, *_version(request.model_spec))

        return self._answered(request, context, describe)

    def GetModelStatus(self, request, context):
        return self._answered(request, context, lambda model: answers.status(model, *_version(request.model_spec)))

    def Classify(self, request, context):
        return self._answered(request, context, lambda model: self._refuse(request, model, "classify"))

    def Regress(self, request, context):
        return self._answered(request, context, lambda model: self._refuse(request, model, "regress"))

    def _refuse(self, request, model, method):
        version = model.take(*_version(request.model_spec))
        try:
            answers.refuse_method(version, request.model_spec.signature_name, method)
        finally:
            version.leave()

    def _predict(self, request, context, model):
        spec, version = request.model_spec, model.take(*_version(request.model_spec))
        try:
            if version.signature(spec.signature_name) is None:
                refuse(f'Serving signature key "{spec.signature_name[:200] or DEFAULT}" not found.', "FAILED_PRECONDITION")
            inputs = {name: array_of(name, value, self.limit) for name, value in request.inputs.items()}
            waits = Waits()
            version.take()  # for the queue, which leaves it
            task = self.models.put(version, model.name, spec.signature_name, inputs, request.output_filter, waits.told)
            left = context.time_remaining()
            made = waits.end(task, PATIENCE if left is None else min(left, PATIENCE))
        finally:
            version.leave()
        answer = predict_pb2.PredictResponse(outputs={name: message_of(array) for name, array in made.items()})
        answer.model_spec.name = model.name
        answer.model_spec.signature_name = spec.signature_name or DEFAULT
        answer.model_spec.version.value = version.number
        return answer

    def _answered(self, request, context, make):
        """The answer, counted; errors become gRPC's status codes."""
        begun, name, refused = time.perf_counter(), "", None
        try:
            if self._secret and not hmac.compare_digest(
                    dict(context.invocation_metadata()).get("authorization", "").encode(), self._secret):
                refuse("expected metadata 'authorization: Bearer TOKEN' with the server's token", "UNAUTHENTICATED")
            if not request.HasField("model_spec"):
                refuse("Missing ModelSpec")
            model = self.models.model(request.model_spec.name)
            name = model.name
            return make(model)
        except Exception as error:
            refused = of(error)
        finally:
            self.metrics.request(name, "gRPC", refused.code if refused else "OK", time.perf_counter() - begun)
        context.abort(grpc.StatusCode[refused.code], str(refused))


def _version(spec):
    """(number or None, label) of a ModelSpec."""
    return spec.version.value if spec.HasField("version") else None, spec.version_label


def server_of(services, address, queue, shared=False):
    """(gRPC server, its port) at `address`, "HOST:PORT"; port 0 takes a free one; raises if it is taken, unless all who have
    it share it."""
    made = grpc.server(
        futures.ThreadPoolExecutor(WORKERS, "gRPC"), maximum_concurrent_rpcs=WORKERS + queue,
        options=[("grpc.max_receive_message_length", services.limit), ("grpc.max_send_message_length", -1),
                 ("grpc.so_reuseport", int(shared)), ("grpc.keepalive_time_ms", 60_000),
                 ("grpc.keepalive_timeout_ms", 20_000),
                 ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, made)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, made)
    port = made.add_insecure_port(address)
    return made, port

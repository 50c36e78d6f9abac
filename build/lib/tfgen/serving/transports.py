"""Requests to a model server, over REST or gRPC."""

import base64
import http.client
import io
import json
import ssl
import threading
import urllib.parse

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tfgen.errors import Failure, UserError
from tfgen.serving.versions import Signature

TOKEN = "TFGEN_TOKEN"  # environment variable
OURS = "tfgen"  # what the header `Server` says of the embedded server
NPZ = "application/npz"
SECONDS = 300.0  # for which an answer is waited


class Rest:
    """A model's REST interface, through one connection.

    Arrays travel as .npz where the server is tfgen's, else as JSON.

    Args:
        host, port, encrypted: of the server.
        name, number, label: of the model; number: a version or None; label: of a version, or "".
        token: sent as `Authorization: Bearer TOKEN`, or None.

    Attributes:
        ours: whether the server is tfgen's, as its last answer said.
    """

    def __init__(self, host, port, encrypted, name, number=None, label="", token=None):
        self.where = f"http{'s' * encrypted}://{host}:{port}"
        self._path = f"/v1/models/{urllib.parse.quote(name)}" + (
            f"/versions/{number}" if number else f"/labels/{label}" if label else "")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._connection = (http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
                            if encrypted else http.client.HTTPConnection(host, port, timeout=SECONDS))
        self._lock, self.ours, self._specs = threading.Lock(), False, {}

    def signatures(self):
        """{name: `versions.Signature`}."""
        found = json.loads(self._request("GET", self._path + "/metadata"))["metadata"]["signature_def"]["signature_def"]
        self._specs = {name: Signature(json_format.ParseDict(one, meta_graph_pb2.SignatureDef(), ignore_unknown_fields=True))
                       for name, one in found.items() if not name.startswith("__")}
        return self._specs

    def about(self):
        """The record of a tfgen export, which only tfgen's server tells; else {}."""
        return json.loads(self._request("GET", self._path + "/about")) if self.ours else {}

    def predict(self, signature, inputs):
        """{input: array} -> {output: array} of a signature."""
        if self.ours:
            file = io.BytesIO()
            np.savez(file, **{key: array.astype(str) if array.dtype.kind == "O" else array for key, array in inputs.items()})
            body = self._request("POST", f"{self._path}:predict?signature_name={signature}", file.getvalue(), NPZ)
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        body = json.dumps({"signature_name": signature, "inputs": {key: _listed(array) for key, array in inputs.items()}})
        made = json.loads(self._request("POST", self._path + ":predict", body.encode()))["outputs"]
        specs = self._specs[signature].outputs
        made = {next(iter(specs)): made} if len(specs) == 1 else made
        return {key: np.array(value, specs[key][1]) for key, value in made.items()}

    def _request(self, method, path, body=None, kind="application/json"):
        """The body of an answer; a connection that the server has closed is opened again once."""
        headers = self._headers | {"Content-Type": kind, "Accept": kind}
        with self._lock:
            for last in (False, True):
                try:
                    self._connection.request(method, path, body, headers)
                    answer = self._connection.getresponse()
                    data = answer.read()
                    break
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                    self._connection.close()
                    if last:
                        raise Failure(f"{self.where} closed the connection ({error}): look at the server's log") from None
                except (OSError, http.client.HTTPException) as error:
                    self._connection.close()
                    raise Failure(f"{self.where} does not answer ({error}): check the address, and that the server "
                                  "runs") from None
        self.ours = answer.headers.get("server") == OURS
        if answer.status == 200:
            return data
        _fail(self.where, f"{answer.status} {_message(data)}", answer.status < 500)


def _message(data):
    try:
        return json.loads(data)["error"]
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("utf-8", "replace")


def _fail(where, message, mistake):
    line = " ".join(message.split())
    if mistake:
        raise UserError(f"{where} refused the request ({line}): correct it")
    raise Failure(f"{where} could not answer ({line}): look at the server's log")


def _listed(array):
    """Nested lists of an array for JSON; bytes as base64."""
    if array.dtype.kind != "O":
        return array.tolist()
    return [{"b64": base64.b64encode(one).decode()} for one in array]


class Grpc:
    """A model's gRPC interface; arguments as for `Rest`."""

    def __init__(self, host, port, encrypted, name, number=None, label="", token=None):
        import grpc
        from tensorflow_serving.apis import model_pb2, prediction_service_pb2_grpc

        self.where, self._errors = f"grpc{'s' * encrypted}://{host}:{port}", grpc.RpcError
        self._spec = model_pb2.ModelSpec(name=name, version_label=label)
        if number:
            self._spec.version.value = number
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        target = f"{host}:{port}"
        channel = (grpc.secure_channel(target, grpc.ssl_channel_credentials(), options) if encrypted else
                   grpc.insecure_channel(target, options))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]

    def signatures(self):
        """{name: `versions.Signature`}."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=self._spec, metadata_field=["signature_def"])
        found = get_model_metadata_pb2.SignatureDefMap()
        self._call(self._stub.GetModelMetadata, request).metadata["signature_def"].Unpack(found)
        return {name: Signature(one) for name, one in found.signature_def.items() if not name.startswith("__")}

    def about(self):
        """Nothing: gRPC has no place for the record of an export."""
        return {}

    def predict(self, signature, inputs):
        """{input: array} -> {output: array} of a signature."""
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest(model_spec=self._spec,
                                             inputs={key: tf.make_tensor_proto(array) for key, array in inputs.items()})
        request.model_spec.signature_name = signature
        return {key: tf.make_ndarray(value) for key, value in self._call(self._stub.Predict, request).outputs.items()}

    def _call(self, method, request):
        try:
            return method(request, timeout=SECONDS, metadata=self._metadata)
        except self._errors as error:
            name = error.code().name
            _fail(self.where, f"{name} {error.details()}",
                  name in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNAUTHENTICATED"))

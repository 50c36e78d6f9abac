"""The embedded server over gRPC, against the SavedModel called directly."""

import numpy as np
import pytest
import tensorflow as tf
from asking import LIMIT, X, Y

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

import grpc  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


def request_of(signature="encode", name="cvae", version=None, **inputs):
    made = predict_pb2.PredictRequest(inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()})
    made.model_spec.name, made.model_spec.signature_name = name, signature
    if version:
        made.model_spec.version.value = version
    return made


@pytest.mark.rotating
def test_grpc(channel, stored):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    made = stub.Predict(request_of(x=X, label=Y))
    np.testing.assert_allclose(tf.make_ndarray(made.outputs["latents"]), stored("encode", X, label=Y), rtol=1e-5, atol=1e-6)
    assert (made.model_spec.name, made.model_spec.version.value, made.model_spec.signature_name) == ("cvae", 1, "encode")
    # Values one by one instead of bytes.
    request = request_of(x=X[:2], label=Y[:2])
    request.inputs["x"].ClearField("tensor_content")
    request.inputs["x"].float_val.extend(X[:2].ravel().tolist())
    made = stub.Predict(request)
    np.testing.assert_allclose(tf.make_ndarray(made.outputs["latents"]), stored("encode", X[:2], label=Y[:2]), rtol=1e-5,
                               atol=1e-6)
    found = get_model_metadata_pb2.SignatureDefMap()
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "cvae"
    stub.GetModelMetadata(request).metadata["signature_def"].Unpack(found)
    assert {"encode", "decode", "sample", "serving_default"} <= set(found.signature_def)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "cvae"
    status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert [(one.version, one.state) for one in status] == [(1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)]


def huge(request):
    """One value for a shape of 1e9 rows."""
    request.inputs["label"].CopyFrom(tf.make_tensor_proto(np.zeros(1, "int64")))
    request.inputs["label"].tensor_shape.dim[0].size = 10**9
    request.inputs["label"].tensor_content = b""
    request.inputs["label"].int64_val.append(1)
    return request


def changed(signature="sample", dtype=None, shape=None, **values):
    """A request of one seed with another dtype, other sides or other values."""
    request = request_of(signature, seeds=np.zeros(1, "int64"), label=np.zeros(1, "int64"))
    seeds = request.inputs["seeds"]
    seeds.dtype = dtype or seeds.dtype
    if shape:
        seeds.ClearField("tensor_shape")
        for side in shape:
            seeds.tensor_shape.dim.add(size=side)
    if values:
        seeds.ClearField("tensor_content")
        seeds.ClearField("int64_val")
    for key, value in values.items():
        if isinstance(value, bytes):
            setattr(seeds, key, value)
        else:
            getattr(seeds, key).extend(value)
    return request


@pytest.mark.parametrize("request_, code, words", [
    (changed(shape=[1] * 70, tensor_content=b"\0" * 8), "INVALID_ARGUMENT", "at most 64 dimensions, received 70"),
    (changed(shape=[1] * 70, int64_val=[1]), "INVALID_ARGUMENT", "at most 64 dimensions, received 70"),
    (changed(shape=[1] * 32, int64_val=[1]), "INVALID_ARGUMENT", "input 'seeds' expects shape [-1], received [1,1,1"),
    (changed(tensor_content=b"\0" * 7), "INVALID_ARGUMENT", "input 'seeds' of shape [1] expects 8 bytes, received 7"),
    (changed(tensor_content=b"\0" * 16), "INVALID_ARGUMENT", "input 'seeds' of shape [1] expects 8 bytes, received 16"),
    (changed(dtype=20), "INVALID_ARGUMENT", "input 'seeds' expects a dtype of numbers or texts, received 20"),
    (changed(dtype=21), "INVALID_ARGUMENT", "input 'seeds' expects a dtype of numbers or texts, received 21"),
    (changed(dtype=101), "INVALID_ARGUMENT", "input 'seeds' "), (changed(dtype=999), "INVALID_ARGUMENT", "received 999"),
    (changed(dtype=6, int_val=[300]), "INVALID_ARGUMENT", "input 'seeds' "),
    (changed(dtype=19, half_val=[70_000]), "INVALID_ARGUMENT", "input 'seeds' "),
    (changed(dtype=7, tensor_content=b"a"), "INVALID_ARGUMENT", "input 'seeds' of shape [1] has other values"),
    (request_of(name="none"), "NOT_FOUND", "Servable not found for request: Latest(none)"),
    (request_of(version=7), "NOT_FOUND", "Specific(cvae, 7)"),
    (request_of(name=""), "INVALID_ARGUMENT", "no name specified"),
    (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (request_of("nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
    (request_of(x=X), "INVALID_ARGUMENT", "Missing but required: {label}."),
    (request_of(x=X, label=Y, z=Y), "INVALID_ARGUMENT", "Sent extra: {z}."),
    (request_of(x=X.astype("float64"), label=Y), "INVALID_ARGUMENT", "dtype float32, received float64"),
    (request_of(x=X[0], label=Y), "INVALID_ARGUMENT", "received [8,8,1]"),
    (huge(request_of(x=X, label=Y)), "INVALID_ARGUMENT", f"at most {LIMIT} bytes"),
    (request_of("sample", seeds=np.zeros(51, "int64"), label=np.zeros(51, "int64")), "INVALID_ARGUMENT", "received 51"),
    (request_of("decode", z=np.zeros((LIMIT, 3), "f4")), "RESOURCE_EXHAUSTED", "larger than max")],
    ids=lambda value: value if isinstance(value, str) else "")
def test_grpc_faults_are_named(channel, request_, code, words):
    with pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request_)
    assert caught.value.code().name == code and words in caught.value.details()


def test_grpc_refuses_other_methods(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "cvae"
    with pytest.raises(grpc.RpcError, match="signature method_name to be tensorflow/serving/classify"):
        stub.Classify(request)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["weights"])
    request.model_spec.name = "cvae"
    with pytest.raises(grpc.RpcError, match="Metadata field weights is not supported"):
        stub.GetModelMetadata(request)

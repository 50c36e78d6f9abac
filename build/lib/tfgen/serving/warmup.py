"""Warm-up requests of an export, which TF Serving replays before it serves a version."""

import pathlib

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

FILE = "assets.extra/tf_serving_warmup_requests"


def write(path, model_name, inputs_of, batch_sizes):
    """Writes one request per signature and batch size: a TFRecord file of `PredictionLog`.

    Args:
        path: folder of the SavedModel.
        model_name: name under which the model is served.
        inputs_of: {signature: {input: array of valid values, the batch first}}; all rows of a request are their first row.
        batch_sizes: rows per request, at most 1000 requests in all (TF Serving's limit).
    """
    path = pathlib.Path(path) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in batch_sizes:
            for signature, inputs in inputs_of.items():
                writer.write(request(model_name, signature, inputs, size).SerializeToString())


def request(model_name, signature, inputs, rows):
    """A `PredictionLog` of a request of `rows` rows."""
    log = prediction_log_pb2.PredictionLog()
    asked = log.predict_log.request
    asked.model_spec.name, asked.model_spec.signature_name = model_name, signature
    for key, array in inputs.items():
        # One value stands for all: files stay small whatever the size of images.
        asked.inputs[key].CopyFrom(tf.make_tensor_proto(array.ravel()[0], tf.as_dtype(array.dtype.type),
                                                        (rows, *array.shape[1:])))
    return log

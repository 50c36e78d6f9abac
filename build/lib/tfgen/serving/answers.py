"""What both interfaces answer about models: their status, their signatures, and methods that they do not have."""

import json

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfgen.serving.refusals import refuse
from tfgen.serving.saved_model import ABOUT, DEFAULT

FIELD = "signature_def"
METHODS = {"classify": "classification", "regress": "regression"}


def status(model, number=None, label=""):
    """`GetModelStatusResponse` of a model's versions, or of one of them; raises a `Refused` for one that is unknown."""
    if label:
        number = model.number_of(label)
    states = dict(model.states)
    if number and number not in states:
        refuse(f"Could not find version {number} of model {model.name}", "NOT_FOUND")
    made = get_model_status_pb2.GetModelStatusResponse()
    for one in [number] if number else sorted(states, reverse=True):
        state, code, message = states[one]
        row = made.model_version_status.add(version=one, state=state)
        row.status.error_code, row.status.error_message = code, message
    return made


def metadata(model, number=None, label=""):
    """`GetModelMetadataResponse` of a version; raises a `Refused` for one that is not served."""
    version = model.take(number, label)
    try:
        made = get_model_metadata_pb2.GetModelMetadataResponse()
        made.model_spec.name = model.name
        made.model_spec.version.value = version.number
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=version.definitions)
        made.metadata[FIELD].Pack(signatures)
        return made
    finally:
        version.leave()


def metadata_json(model, number=None, label=""):
    """The metadata as TF Serving's JSON."""
    made, signatures = metadata(model, number, label), get_model_metadata_pb2.SignatureDefMap()
    made.metadata[FIELD].Unpack(signatures)
    spec, found = (json_format.MessageToDict(one, preserving_proto_field_name=True,
                                             always_print_fields_with_no_presence=True)
                   for one in (made.model_spec, signatures))
    return json.dumps({"model_spec": spec, "metadata": {FIELD: found}}, indent=1)


def status_json(model, number=None, label=""):
    """The status as TF Serving's JSON."""
    return json_format.MessageToJson(status(model, number, label), preserving_proto_field_name=True,
                                     always_print_fields_with_no_presence=True)


def about_json(model, number=None, label=""):
    """The record of a tfgen export, `tfgen.json`; an addition of this server."""
    version = model.take(number, label)
    try:
        path = version.path / ABOUT
        return path.read_text("utf-8") if path.exists() else "{}"
    finally:
        version.leave()


JSON = {"status": status_json, "metadata": metadata_json, "about": about_json}


def refuse_method(version, name, method, has_examples=True):
    """Refuses to classify or regress with a signature that predicts, as all of ours do."""
    if not has_examples:
        refuse(f"When method is {method}, key 'examples' is expected and was not found")
    name = name or DEFAULT
    if name not in version.definitions:
        refuse(f"No signature was found with the name: {name}")
    refuse(f"Expected {METHODS[method]} signature method_name to be tensorflow/serving/{method}. Was: "
           f"{version.definitions[name].method_name}")

"""Configuration of TF Serving for a folder of exports: models, batching, monitoring, and a compose file for Docker."""

import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfgen import files
from tfgen.errors import UserError, require
from tfgen.serving.batching import largest_of
from tfgen.serving.saved_model import ABOUT, export_paths

MODELS, BATCHING, MONITORING, COMPOSE = "models.config", "batching_parameters.txt", "monitoring.config", "compose.yaml"
# Where the images of TF Serving look for models.
MOUNTED = "/models"
METRICS = "/monitoring/prometheus/metrics"
# How long a request may wait for others to fill its batch.
BATCH_TIMEOUT_MICROSECONDS = 2000
# Batches that may wait before requests are refused.
MAX_ENQUEUED_BATCHES = 100

_HEAD = """\
# Written by `tfgen serving-config`. In this file's folder start one of the two: `docker compose up cpu`, or
# `docker compose up gpu` with an NVIDIA GPU and NVIDIA's container toolkit.
services:
"""
_SERVICE = """\
  {name}:
    image: tensorflow/serving:{tag}
    profiles: [{name}]
    ports: ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]  # gRPC and REST, for this machine only
    volumes: [".:{mounted}:ro"]
    command:
{flags}
"""
_GPU = """\
    deploy:
      resources:
        reservations:
          devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]
"""


def _messages():
    """BatchingParameters and MonitoringConfig as TF Serving defines them, which tensorflow-serving-api lacks."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="tfgen/serving/configuration.proto", package="tfgen.serving",
                                              syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name])

    def message(name, **fields):
        made = file.message_type.add(name=name)
        for key, (number, kind, label) in fields.items():
            named = {"type": kinds.TYPE_MESSAGE, "type_name": kind} if isinstance(kind, str) else {"type": kind}
            made.field.add(name=key, number=number, label=label, **named)

    one, many, whole = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED, ".google.protobuf.Int64Value"
    message("BatchingParameters", max_batch_size=(1, whole, one), batch_timeout_micros=(2, whole, one),
            max_enqueued_batches=(3, whole, one), num_batch_threads=(4, whole, one),
            thread_pool_name=(5, ".google.protobuf.StringValue", one),
            allowed_batch_sizes=(6, kinds.TYPE_INT64, many), pad_variable_length_inputs=(7, kinds.TYPE_BOOL, one))
    message("PrometheusConfig", enable=(1, kinds.TYPE_BOOL, one), path=(2, kinds.TYPE_STRING, one))
    message("MonitoringConfig", prometheus_config=(1, ".tfgen.serving.PrometheusConfig", one))
    pool = descriptor_pool.Default()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tfgen.serving.{name}"))
            for name in ("BatchingParameters", "MonitoringConfig")]


BatchingParameters, MonitoringConfig = _messages()


def models_in(folder):
    """{name: folder} of the models in a folder of exports: subfolders with versions, by name.

    Raises:
        UserError: if there is none.
    """
    folder = pathlib.Path(folder)
    require(folder.is_dir(), f"expected a folder of exports such as saved_models, received {folder}: check the path")
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and export_paths(path)}
    if not found and export_paths(folder):
        raise UserError(f"expected a folder of models, received {folder}, which holds the versions of one: give the "
                        f"folder above, {folder.resolve().parent}")
    require(found, f"expected exports in subfolders of {folder}, found none: write one with "
                   f"`tfgen export RUN --to {folder / 'NAME'}`")
    return found


def batch_sizes(folder, largest=None, sizes=()):
    """Sizes of batches: `sizes`, or those with which the newest versions in a folder warm up, and `largest`; ascending.

    Args:
        folder: a folder of exports.
        largest: the last of them, which leaves out larger ones; None: the largest of `sizes` or of the warm-ups, or 32
            without any.
        sizes: the sizes, which must end with `largest` where both are given; none: those of the warm-ups.

    Raises:
        UserError: for sizes that do not ascend or end with another than `largest`.
    """
    if sizes:
        largest_of(sizes, largest)
        return list(sizes)
    sizes = {size for record in records_in(folder) for size in record.get("warmup_batch_sizes", ())}
    largest = largest or max(sizes, default=32)
    return sorted({size for size in sizes if size < largest} | {largest})


def flags(where, xla=None):
    """Flags of `tensorflow_model_server` for the files of `write`, which it sees in the folder `where`.

    Args:
        where: a folder.
        xla: `"cpu"` or `"gpu"` for a server of exports that XLA compiles, which fail without; `"gpu"` allows both.
    """
    return [f"--model_config_file={where}/{MODELS}", "--enable_batching=true",
            f"--batching_parameters_file={where}/{BATCHING}", f"--monitoring_config_file={where}/{MONITORING}",
            *([f"--xla_{xla}_compilation_enabled=true"] if xla else [])]


def write(folder, to=None, seen_at=MOUNTED, largest_batch=None, sizes=()):
    """Writes the configuration of a server for all models in a folder of exports.

    Args:
        folder: a folder of exports, with one subfolder of versions per model.
        to: folder to write to; None: `folder`.
        seen_at: where the server finds `folder`, by default where the compose file mounts it.
        largest_batch: rows of the largest batch; None: those of the models' warm-up.
        sizes: rows to which batches are padded, ascending; none: those of the models' warm-up.

    Returns:
        {file name: path}: `models.config`, `batching_parameters.txt`, `monitoring.config`, and `compose.yaml`, which mounts
        its own folder.

    Raises:
        UserError: for a folder without exports, and as `batch_sizes`.
    """
    to, sizes = pathlib.Path(to or folder), batch_sizes(folder, largest_batch, sizes)
    texts = {MODELS: text_format.MessageToString(models_config(models_in(folder), seen_at)),
             BATCHING: text_format.MessageToString(batching_parameters(sizes)),
             MONITORING: text_format.MessageToString(MonitoringConfig(prometheus_config={"enable": True, "path": METRICS})),
             COMPOSE: compose(any_xla(folder))}
    for name, text in texts.items():
        files.write_text(to / name, text)
    return {name: to / name for name in texts}


def models_config(names, seen_at):
    """`ModelServerConfig` of the models `names`, whose versions a server finds in `seen_at`/NAME."""
    config = model_server_config_pb2.ModelServerConfig()
    for name in names:
        config.model_config_list.config.add(name=name, base_path=f"{seen_at}/{name}", model_platform="tensorflow")
    return config


def batching_parameters(sizes):
    """`BatchingParameters` for batches of the rows `sizes`, ascending; smaller ones are padded to the next size."""
    return BatchingParameters(max_batch_size={"value": sizes[-1]}, allowed_batch_sizes=sizes,
                              batch_timeout_micros={"value": BATCH_TIMEOUT_MICROSECONDS},
                              max_enqueued_batches={"value": MAX_ENQUEUED_BATCHES})


def records_in(folder):
    """The records (`assets.extra/tfgen.json`) of the newest versions in a folder of exports, of those that have one."""
    versions = [export_paths(path) for path in models_in(folder).values()]
    paths = [found[max(found)] / ABOUT for found in versions]
    return [files.read_json(path) for path in paths if path.exists()]


def any_xla(folder):
    """Whether the newest version of any model in a folder of exports is compiled by XLA."""
    return any(record.get("xla") for record in records_in(folder))


def compose(xla=False):
    """A compose file with the services `cpu` and `gpu`; xla: the server compiles what was exported with `--xla`."""
    services = []
    for name, tag in (("cpu", "latest"), ("gpu", "latest-gpu")):
        lines = flags(MOUNTED, name if xla else None)
        text = _SERVICE.format(name=name, tag=tag, mounted=MOUNTED, flags="\n".join(f"      - {line}" for line in lines))
        services.append(text + (_GPU if name == "gpu" else ""))
    return _HEAD + "".join(services)

"""Edge runtimes: one module each, which converts a verb's graph to a file and runs such a file."""

from tfgen.errors import UserError, did_you_mean
from tfgen.serving.runtimes.litert import LiteRT
from tfgen.serving.runtimes.onnx import Onnx
from tfgen.serving.runtimes.openvino import OpenVINO
from tfgen.serving.runtimes.tfjs import TensorFlowJS

__all__ = ["RUNTIMES", "runtime_of"]

RUNTIMES = {runtime.name: runtime for runtime in (Onnx(), OpenVINO(), LiteRT(), TensorFlowJS())}


def runtime_of(name):
    """The runtime called `name`.

    Raises:
        UserError: for an unknown name, or if what it needs is not installed.
    """
    if name not in RUNTIMES:
        raise UserError(f"--format expects saved_model or one of {', '.join(RUNTIMES)}, received '{name}'"
                        f"{did_you_mean(name, RUNTIMES)}")
    RUNTIMES[name].require()
    return RUNTIMES[name]

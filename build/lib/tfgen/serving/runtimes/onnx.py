"""ONNX files by tf2onnx, run by ONNX Runtime."""

import logging

import numpy as np

from tfgen.serving.runtimes.runtime import Runtime

OPSET = 18


class Onnx(Runtime):
    """ONNX: `VERB.onnx`, opset 18."""

    name, suffix = "onnx", ".onnx"
    packages = {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"}

    def convert(self, graph, path):
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
        inputs = {tensor.name: key for tensor, key in zip(graph.frozen.inputs, graph.inputs)}
        outputs = {tensor.name: key for tensor, key in zip(graph.frozen.outputs, graph.outputs)}
        tf2onnx.convert.from_graph_def(
            graph.frozen.graph.as_graph_def(add_shapes=True), graph.name, list(inputs), list(outputs), OPSET,
            tensors_to_rename=inputs | outputs, custom_op_handlers=HANDLERS, output_path=str(path))

    def load(self, path):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs = [output.name for output in session.get_outputs()]
        return lambda given: dict(zip(outputs, session.run(outputs, {key: np.asarray(x) for key, x in given.items()})))


def _log1p(context, node, name, args):
    """log1p(x) = log(1 + x): tf2onnx has no form of its own."""
    one = context.make_const(f"{node.name}_one", np.array(1.0, np.float32))
    more = context.make_node("Add", [node.input[0], one.output[0]])
    _replace(context, node, "Log", more)


def _replace(context, node, kind, argument):
    shapes, dtypes = node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node(kind, [argument.output[0]], name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)


HANDLERS = {"Log1p": (_log1p, [])}

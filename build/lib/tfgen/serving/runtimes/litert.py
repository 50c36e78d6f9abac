"""LiteRT (TensorFlow Lite) files by TensorFlow's converter, run by LiteRT's interpreter."""

from tfgen.serving.runtimes.runtime import Runtime


class LiteRT(Runtime):
    """LiteRT: `VERB.tflite` of built-in operations only, its signature `serving_default`."""

    name, suffix = "litert", ".tflite"
    packages = {"ai_edge_litert": "ai-edge-litert"}

    def convert(self, graph, path):
        import tensorflow as tf

        with graph.saved_model() as folder:
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            path.write_bytes(converter.convert())

    def load(self, path):
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")
        return lambda given: runner(**given)

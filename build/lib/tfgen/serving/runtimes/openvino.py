"""OpenVINO's intermediate representation, run by OpenVINO on the CPU."""

from tfgen.serving.runtimes.runtime import Runtime


class OpenVINO(Runtime):
    """OpenVINO: `VERB.xml` with its weights in `VERB.bin`.

    Without the setting, processors with bfloat16 compute in it by default, and outputs are off by up to 0.1.
    """

    name, suffix = "openvino", ".xml"
    packages = {"openvino": "openvino"}
    settings = {"INFERENCE_PRECISION_HINT": "f32"}

    def convert(self, graph, path):
        import openvino

        with graph.saved_model() as folder:
            openvino.save_model(openvino.convert_model(folder), path, compress_to_fp16=False)

    def load(self, path):
        import openvino

        compiled = openvino.Core().compile_model(str(path), "CPU", self.settings)

        def call(given):
            made = compiled(given)
            return {name: value.copy() for port, value in made.items() for name in port.get_names()}

        return call

"""TensorFlow.js graph models by its own converter, run by TensorFlow.js in Node."""

import base64
import json
import shutil
import subprocess

import numpy as np

from tfgen import files
from tfgen.errors import Failure, UserError
from tfgen.serving.runtimes.runtime import Runtime

CONVERTER = "tensorflowjs_converter"
# Reads {input: {shape, dtype, data}} from standard input, writes {output: {shape, dtype, data}}; data in base64.
RUNNER = """
const tf = require('@tensorflow/tfjs'), fs = require('fs'), path = require('path');
const bytes = b => b.buffer.slice(b.byteOffset, b.byteOffset + b.length);
async function run() {
  await tf.setBackend('cpu');
  const folder = process.argv[1], given = JSON.parse(fs.readFileSync(0, 'utf8'));
  const about = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf8'));
  const files = about.weightsManifest.flatMap(group => group.paths).map(name => fs.readFileSync(path.join(folder, name)));
  const model = await tf.loadGraphModel({load: async () => ({
    modelTopology: about.modelTopology, weightSpecs: about.weightsManifest.flatMap(group => group.weights),
    weightData: bytes(Buffer.concat(files)), signature: about.signature})});
  const {inputs, outputs} = about.signature, feeds = {};
  for (const key in inputs) {
    const {shape, dtype, data} = given[key];
    const kind = dtype === 'int32' ? Int32Array : Float32Array;
    feeds[inputs[key].name] = tf.tensor(new kind(bytes(Buffer.from(data, 'base64'))), shape, dtype);
  }
  const keys = Object.keys(outputs);
  const made = [await model.executeAsync(feeds, keys.map(key => outputs[key].name))].flat(), answer = {};
  for (const [at, key] of keys.entries()) {
    const data = await made[at].data();
    answer[key] = {shape: made[at].shape, dtype: made[at].dtype,
                   data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')};
  }
  fs.writeFileSync(1, JSON.stringify(answer));
}
run().catch(error => { console.error(error.message); process.exit(1); });
"""
DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}


class TensorFlowJS(Runtime):
    """TensorFlow.js: a folder `VERB.tfjs` with `model.json` and its weights.

    tensorflowjs 4.22 depends on TensorFlow < 2.20 and NumPy < 2.2, so its converter lives in an environment of its own.
    """

    name, suffix = "tfjs", ".tfjs"

    def require(self):
        missing = [what for what in (CONVERTER, "node") if not shutil.which(what)]
        if not missing and _node("require.resolve('@tensorflow/tfjs')").returncode:
            missing = ["@tensorflow/tfjs"]
        if missing:
            raise UserError(f"--format tfjs expects {CONVERTER} and node on the PATH and node's package @tensorflow/tfjs, "
                            f"received no {' and no '.join(missing)}: pipx install tensorflowjs (it cannot share an "
                            "environment with this TensorFlow), npm install @tensorflow/tfjs in this folder")

    def versions(self):
        return {"@tensorflow/tfjs": _node("console.log(require('@tensorflow/tfjs').version_core)").stdout.strip()}

    def convert(self, graph, path):
        with graph.saved_model() as folder:
            _checked(subprocess.run([CONVERTER, "--input_format=tf_saved_model", "--output_format=tfjs_graph_model",
                                     str(folder), str(path)], text=True, capture_output=True))
        about = path / "model.json"
        files.write_json(about, named(files.read_json(about), graph.inputs, graph.outputs))

    def load(self, path):
        def call(given):
            packed = {key: {"shape": np.shape(x), "dtype": np.asarray(x).dtype.name,
                            "data": base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()}
                      for key, x in given.items()}
            made = json.loads(_checked(_node(RUNNER, str(path), input=json.dumps(packed))).stdout)
            return {key: np.frombuffer(base64.b64decode(x["data"]), DTYPES[x["dtype"]]).reshape(x["shape"])
                    for key, x in made.items()}

        return call


def named(about, inputs, outputs):
    """A converted model's record (model.json) with inputs and outputs under their names.

    The converter calls all but one of several of a kind by their tensors: `NAME:0` is the input NAME, `Identity_K:0` the
    K-th output in the order of names.
    """
    def of_output(tensor):
        return sorted(outputs)[int(tensor.removeprefix("Identity").removeprefix("_") or 0)]

    def renamed(tensors, names, name_of):
        return {key if key in names else name_of(tensor["name"].removesuffix(":0")): tensor
                for key, tensor in tensors.items()}

    signature = about["signature"]
    return about | {"signature": signature | {"inputs": renamed(signature["inputs"], inputs, str),
                                              "outputs": renamed(signature["outputs"], outputs, of_output)}}


def _node(script, *arguments, input=None):
    return subprocess.run(["node", "-e", script, *arguments], text=True, capture_output=True, input=input)


def _checked(done):
    """A finished process; raises a `Failure` with the last line of its errors if it failed."""
    if done.returncode:
        raise Failure(([line for line in done.stderr.splitlines() if line.strip()] or ["no message"])[-1])
    return done

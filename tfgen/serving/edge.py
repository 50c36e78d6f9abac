"""Exports for edge runtimes: a verb is converted, run in its runtime and compared with the model before it is named."""

import dataclasses
import os
import pathlib

import numpy as np

from tfgen import files
from tfgen.errors import Failure, UserError, require
from tfgen.serving import export
from tfgen.serving.edge_graphs import EdgeGraph, narrowed
from tfgen.serving.forms import Form
from tfgen.serving.runtimes import runtime_of
from tfgen.verbs import Text
from tfgen.verbs.live import Live

# Largest difference of an output from the model's, absolute up to values of 1, relative above.
TOLERANCE = 1e-4
ABOUT = "verbs.json"
# Seeds of 1, 2, 3 and 4 words.
SEEDS = (7, 2**31 + 12345, 2**45 - 1, 2**62 - 98765)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a verb.

    Attributes:
        difference: largest difference from the model; None if the verb is refused.
        refused: why the verb is left out, or None.
    """

    difference: float | None = None
    refused: str | None = None

    @property
    def text(self):
        """`exact (largest difference)` or `refused (reason)`."""
        return f"refused ({self.refused})" if self.refused else f"exact ({self.difference:.1g})"


def export_edge(model, folder, format, names=None, about=None, live=None):
    """Writes the verbs of a model that a runtime computes as the model does: one file each, and `verbs.json`.

    Args:
        model: a `GenerativeModel`.
        folder: a new folder, or one that holds such an export, which is replaced.
        format: a key of `runtimes.RUNTIMES`.
        names: verbs to export; None exports all.
        about: further metadata to record, a dict of JSON types.
        live: `verbs.live.Live` of the model; None: it is made.

    Returns:
        {verb: `Verdict`}; refused verbs have no file.

    Raises:
        UserError: for an unknown format or verb, packages that are missing, or a folder that holds something else.
        Failure: if all verbs are refused; nothing is written.
    """
    folder, live, runtime = pathlib.Path(folder), live or Live(model), runtime_of(format)
    names = Form(signatures=None if names is None else tuple(names)).names(live.names)
    if folder.exists() and not (folder / ABOUT).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"expected a new folder or one that holds an edge export, received {folder}: choose another")
    with files.folder_aside(folder.parent) as aside:
        verdicts, verbs = {}, {}
        for name in names:
            verdicts[name], verbs[name] = write_verb(live, name, runtime, aside)
        if all(verdict.refused for verdict in verdicts.values()):
            raise Failure(f"{format} computes none of the model's verbs, nothing is written: " + "; ".join(
                f"{name} {verdict.text}" for name, verdict in verdicts.items()))
        files.write_json(aside / ABOUT, {"format": format, "settings": runtime.settings, "versions": runtime.versions(),
                                         "tolerance": TOLERANCE, "verbs": verbs, "model": about or {}})
        os.chmod(aside, 0o755)
        files.replace_folder(aside, folder)
    return verdicts


def write_verb(live, name, runtime, folder, graph_of=EdgeGraph):
    """Writes one verb if its outputs are those of the model.

    Args:
        live: `verbs.live.Live` of the model.
        name: name of the verb.
        runtime: a `runtimes.runtime.Runtime`.
        folder: folder of the file.
        graph_of: function (model, verb) -> `EdgeGraph`, for several formats a cached one.

    Returns:
        (`Verdict`, the verb's record for JSON).
    """
    path = folder / f"{name}{runtime.suffix}"
    try:
        graph = graph_of(live.model, name)
        runtime.convert(graph, path)
        worst = max(compared(runtime.load(path), graph, live, name))
    except Exception as error:  # a converter or runtime raises whatever it likes, and the other verbs go on
        verdict = Verdict(refused=reason(error, folder))
    else:
        verdict = Verdict(worst) if worst <= TOLERANCE else Verdict(
            refused=f"the runtime's outputs differ from the model's by {worst:.2g}")
    if verdict.refused:
        for left in folder.glob(f"{name}.*"):
            files.remove(left)
        return verdict, {"refused": verdict.refused}
    return verdict, {"file": path.name, "largest_difference": worst, "seeds": sorted(graph.seeds), "fixed": graph.fixed,
                     "outputs": graph.outputs, "inputs": {key: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
                                           for key, spec in graph.inputs.items()}}


def reason(error, folder):
    """An error in one line of at most 250 characters: its beginning, and its end, where runtimes name the operation.

    Files in `folder`, which is a temporary one, lose their path.
    """
    line = " ".join(f"{type(error).__name__}: {error}".replace(f"{folder}/", "").split())
    return line if len(line) <= 250 else f"{line[:80]} [...] {line[-160:]}"


def compared(call, graph, live, name):
    """Yields the largest difference of each output for each set of inputs."""
    for inputs in inputs_of(live.model, name, graph.seeds):
        given = {key: inputs[key] for key in graph.inputs}
        made, wanted = call(narrowed(given, graph.seeds)), export.run(live, name, inputs)
        for key in graph.outputs:
            yield export.difference(np.asarray(made[key]), wanted[key])


def inputs_of(model, name, seeds):
    """Inputs with which verbs are compared: batches of 3 and 1 rows, and one of 4 with large seeds and options spread."""
    yield from (export.example_inputs(model, name, rows) for rows in (3, 1))
    inputs = export.example_inputs(model, name, len(SEEDS))
    for key, option in model.verb_options(name).items():
        # Numbers of steps and of importance samples beyond 100 are left to the user.
        if not isinstance(option, Text) and option.high <= 100:
            inputs[key] = np.linspace(option.low, option.high, len(SEEDS)).astype(option.dtype)
    yield inputs | {key: np.array(SEEDS, np.int64) for key in seeds}


def load(folder):
    """Opens an edge export: {verb: function {input or option: array} -> {output: array}}, run by its runtime.

    Inputs are those of the model: seeds int64 (B,), each >= 0. All options are given, but for texts.

    Raises:
        UserError: for inputs other than those in `verbs.json`, a folder without an edge export, or if packages are missing.
    """
    folder = pathlib.Path(folder)
    if not (folder / ABOUT).exists():
        raise UserError(f"{folder} holds no edge export; write one with `tfgen export RUN --to {folder} --format onnx`")
    about = files.read_json(folder / ABOUT)
    runtime = runtime_of(about["format"])

    def opened(verb):
        run = runtime.load(folder / verb["file"])

        def call(inputs):
            require(set(inputs) == set(verb["inputs"]),
                    f"expected the inputs {', '.join(verb['inputs'])}, received {', '.join(inputs)}: give these")
            return run(narrowed(inputs, verb["seeds"]))

        return call

    return {name: opened(verb) for name, verb in about["verbs"].items() if "file" in verb}

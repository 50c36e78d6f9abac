"""Edge exports: what is kept is what the model computes, in every format whose packages are installed."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from cases import SMALL, tiny

from tfgen import files
from tfgen.errors import Failure, UserError
from tfgen.serving import edge, export, runtimes, saved_model
from tfgen.serving.edge_graphs import EdgeGraph, narrowed
from tfgen.serving.export import difference
from tfgen.serving.forms import Form
from tfgen.serving.runtimes import tfjs
from tfgen.serving.runtimes.runtime import Runtime
from tfgen.verbs.live import Live

# New seeds, among them one of 62 bits, and none with which verbs are compared.
SEEDS = np.array([3, 2**40 + 1, 2**61 + 5])


class Session(Runtime):
    """TensorFlow itself as a runtime, with faults: {verb: what happens to it}."""

    name, suffix = "session", ".saved"

    def __init__(self, faults):
        self.faults = faults

    def convert(self, graph, path):
        with graph.saved_model() as folder:
            shutil.copytree(folder, path)
        if self.faults.get(graph.name) == "convert":
            raise RuntimeError("operation 'Strange'\nis not supported")

    def load(self, path):
        fault, call = self.faults.get(path.stem), tf.saved_model.load(str(path)).signatures["serving_default"]
        if fault == "load":
            raise RuntimeError("invalid graph")

        def run(given):
            made = {key: value.numpy() for key, value in call(**{k: tf.constant(v) for k, v in given.items()}).items()}
            wrong = fault == "wrong" and np.shape(next(iter(given.values())))[0] == 4
            changed = np.float32(np.nan if fault == "nan" else 0.01 * wrong)
            return {key: value + changed for key, value in made.items()}

        return run


@pytest.fixture
def session(monkeypatch):
    def use(**faults):
        monkeypatch.setitem(runtimes.RUNTIMES, "session", Session(faults))

    return use


@pytest.fixture(scope="module")
def vae():
    return Live(tiny("vae"))


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.rotating
def test_a_verb_with_wrong_numbers_is_never_written(tmp_path, session, vae):
    """Wrong for large seeds and other options only, not finite, not converted (half a file is there), not opened."""
    session(decode="wrong", encode="nan", reconstruct="convert", log_prob="load")
    verdicts = edge.export_edge(vae.model, tmp_path / "out", "session", live=vae)
    assert contents(tmp_path) == ["out"] and contents(tmp_path / "out") == ["sample.saved", "verbs.json"]
    assert verdicts["sample"].difference < 1e-6 and not verdicts["sample"].refused
    for name, words in {"decode": "outputs differ from the model's by 0.01", "encode": "differ from the model's by inf",
                        "reconstruct": "RuntimeError: operation 'Strange' is not supported",
                        "log_prob": "RuntimeError: invalid graph"}.items():
        assert words in verdicts[name].refused and verdicts[name].text == f"refused ({verdicts[name].refused})"
    about = files.read_json(tmp_path / "out" / "verbs.json")
    assert about["verbs"]["decode"] == {"refused": verdicts["decode"].refused}
    assert about["verbs"]["sample"]["inputs"] == {"seeds": {"dtype": "int32", "shape": [None, 4]}}
    call = edge.load(tmp_path / "out")["sample"]
    np.testing.assert_allclose(call({"seeds": SEEDS})["images"], vae("sample", SEEDS), atol=1e-5)
    with pytest.raises(UserError, match="edge models draw no fresh noise"):
        call({"seeds": -SEEDS})


def test_an_export_is_replaced_whole_and_nothing_else_is(tmp_path, session, vae):
    session()
    edge.export_edge(vae.model, tmp_path / "out", "session", ["encode", "decode"], live=vae)
    session(decode="wrong")
    edge.export_edge(vae.model, tmp_path / "out", "session", ["decode", "sample"], live=vae)
    assert contents(tmp_path / "out") == ["sample.saved", "verbs.json"]
    with pytest.raises(Failure, match="session computes none of the model's verbs, nothing is written: decode refused"):
        edge.export_edge(vae.model, tmp_path / "out", "session", ["decode"], live=vae)
    assert contents(tmp_path) == ["out"] and contents(tmp_path / "out") == ["sample.saved", "verbs.json"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="expected a new folder or one that holds an edge export"):
        edge.export_edge(vae.model, tmp_path / "mine", "session", live=vae)
    with pytest.raises(UserError, match=r"signatures expect some of .*, received 'smaple' \(did you mean 'sample'\?\)"):
        edge.export_edge(vae.model, tmp_path / "out", "session", ["smaple"], live=vae)
    with pytest.raises(UserError, match="holds no edge export"):
        edge.load(tmp_path / "mine")


def test_a_verb_that_takes_texts_is_refused(tmp_path, session):
    session()
    live = Live(tiny("dalle"))
    verdicts = edge.export_edge(live.model, tmp_path / "out", "session", ["decode", "sample"], live=live)
    assert verdicts["sample"].refused == "UserError: takes a text ('caption')" and not verdicts["decode"].refused


@pytest.mark.rotating
def test_a_text_with_a_default_is_fixed_and_said(tmp_path, session):
    """The sampler of a diffusion model: its graph has no strings, and no other sampler is taken for it."""
    session()
    live = Live(tiny("edm"))
    verdicts = edge.export_edge(live.model, tmp_path / "out", "session", ["sample"], live=live)
    verb = files.read_json(tmp_path / "out" / "verbs.json")["verbs"]["sample"]
    assert not verdicts["sample"].refused and verb["fixed"] == {"sampler": live.model.sampler}
    assert set(verb["inputs"]) == {"seeds", "steps"}
    with pytest.raises(UserError, match="expected the inputs seeds, steps, received seeds, steps, sampler"):
        edge.load(tmp_path / "out")["sample"]({"seeds": SEEDS, "steps": np.full(3, 2), "sampler": ["ddim"] * 3})


def test_the_stage_of_a_frozen_model_is_known():
    """No branches: the layers of the present stage alone."""
    model = tiny("progan")
    for step in (0, 40):
        model.step.assign(step)
        graph, z = EdgeGraph(model, "decode"), tf.constant([[1.0, -1.0, 0.5]])
        assert not any(node.type.endswith(("Case", "If")) for node in graph.frozen.graph.get_operations())
        np.testing.assert_allclose(graph.frozen(z)[0], model.decode(z), atol=1e-6)


@pytest.mark.rotating
def test_exit_codes_of_the_command(tfgen, session):
    assert tfgen("train", "vae", "--data", "digits", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    session(encode="wrong")
    code, out, err = tfgen("export", "run", "--to", "out", "--format", "session", "--signatures", "encode,decode")
    assert code == 1 and "decode          exact (" in out and "encode          refused (the runtime's outputs differ" in out
    assert "1 of 2 verbs are refused by session" in err and "--signatures decode" in err and err.count("\n") == 1
    assert contents(pathlib.Path("out")) == ["decode.saved", "verbs.json"]
    assert files.read_json("out/verbs.json")["model"]["recipe"] == "vae"
    code, out, _ = tfgen("export", "run", "--to", "out", "--format", "session", "--signatures", "decode")
    assert code == 0 and out.endswith("wrote out: decode\n")
    code, out, err = tfgen("export", "run", "--to", "other", "--format", "session", "--signatures", "encode")
    assert code == 1 and "nothing is written" in err and not pathlib.Path("other").exists()
    for arguments, message in ((["--format", "onxn"], "received 'onxn' (did you mean 'onnx'?)"),
                               (["--format", "session", "--version", 3], "--version expects --format saved_model")):
        code, _, err = tfgen("export", "run", "--to", "other", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    for name in ("onnx", "openvino", "litert"):
        with pytest.raises(UserError, match=rf"--format {name} expects .*: pip install 'tfgen\[{name}\]'"):
            runtimes.runtime_of(name)
    with pytest.raises(UserError, match="received no tensorflowjs_converter and no node: pipx install tensorflowjs"):
        runtimes.runtime_of("tfjs")


def test_difference():
    one, other = np.array([1.0, 100.0], "f4"), np.array([1.5, 101.0], "f4")
    assert difference(other, one) == 0.5 and difference(one, one) == 0.0
    infinite = np.array([np.inf, 1.0], "f4")
    assert difference(infinite, infinite) == 0.0
    assert difference(one, one[:1]) == difference(infinite, one) == difference(one, infinite) == np.inf
    assert difference(np.array([1, 2], np.int32), np.array([1, 2])) == 0.0
    assert difference(np.array([1, 2]), np.array([1, 3])) == np.inf


def test_names_that_the_converter_of_tensorflow_js_loses():
    """As tensorflowjs 4.22 writes them for several inputs and outputs of a kind."""
    def tensors(*names):
        return {name: {"name": f"{tensor}:0"} for name, tensor in names}

    about = {"format": "graph-model", "signature": {
        "inputs": tensors(("seeds", "seeds"), ("code_1:0", "code_1"), ("code_2", "code_2")),
        "outputs": tensors(("Identity_2:0", "Identity_2"), ("is_anomaly", "Identity"), ("Identity_1:0", "Identity_1"))}}
    found = tfjs.named(about, ["seeds", "code_1", "code_2"], ["score", "is_anomaly", "threshold"])
    assert found["format"] == "graph-model"
    assert {key: tensor["name"] for key, tensor in found["signature"]["inputs"].items()} == {
        "seeds": "seeds:0", "code_1": "code_1:0", "code_2": "code_2:0"}
    assert {key: tensor["name"] for key, tensor in found["signature"]["outputs"].items()} == {
        "is_anomaly": "Identity:0", "score": "Identity_1:0", "threshold": "Identity_2:0"}


def test_whole_numbers_out_of_the_range_of_32_bits_become_its_nearest_end():
    given = np.array([2**40, 2**32 + 3, 5, -2**40, -2**63])
    made = narrowed({"label": given, "x": given.astype("f4")}, set())
    assert made["label"].dtype == np.int32 and made["label"].tolist() == [2**31 - 1, 2**31 - 1, 5, -2**31, -2**31]
    assert made["x"].dtype == np.float32
    assert narrowed({"label": [2**40]}, set())["label"].tolist() == [2**31 - 1]


@pytest.mark.rotating
def test_large_labels_become_the_nearest_class_as_those_of_a_saved_model(tmp_path, session):
    session()
    live, labels = Live(tiny("conditional_vae")), np.array([2**40, 2**32 + 1, -2**40])
    edge.export_edge(live.model, tmp_path / "out", "session", ["sample"], live=live)
    made = edge.load(tmp_path / "out")["sample"]({"seeds": SEEDS, "label": labels})["images"]
    stored = saved_model.Served(export.export(live.model, tmp_path / "saved", live=live, form=Form(signatures=("sample",))))
    wanted = stored.loaded.signatures["sample"](seeds=tf.constant(SEEDS), label=tf.constant(labels))["images"]
    np.testing.assert_allclose(made, wanted, atol=1e-5)
    np.testing.assert_allclose(made, live("sample", SEEDS, label=np.array([2, 2, 0])), atol=1e-5)


@pytest.mark.parametrize("format", ["onnx", "openvino", "litert", "tfjs"])
def test_formats_give_the_numbers_of_the_model(format, tmp_path):
    """A matrix product and its bias, noise from seeds; seeds and latents other than those with which verbs are compared."""
    try:
        runtimes.runtime_of(format)
    except UserError as missing:
        pytest.skip(str(missing))
    live = Live(tiny("vae"))
    verdicts = edge.export_edge(live.model, tmp_path / "out", format, ["encode", "sample"], live=live)
    assert [verdict.refused for verdict in verdicts.values()] == [None, None]
    assert max(verdict.difference for verdict in verdicts.values()) < 1e-5
    calls, x = edge.load(tmp_path / "out"), np.random.default_rng(5).uniform(size=(2, 8, 8, 1)).astype("f4")
    np.testing.assert_allclose(calls["encode"]({"x": x})["latents"], live("encode", x), atol=1e-5)
    np.testing.assert_allclose(calls["sample"]({"seeds": SEEDS})["images"], live("sample", SEEDS), atol=1e-5)

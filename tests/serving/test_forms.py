"""Forms of exports: precision, XLA, signatures, and what a server warms up with."""

import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, tiny
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tfgen import GenerativeModel
from tfgen.errors import Failure, UserError
from tfgen.serving import check, export, forms, native, saved_model, warmup
from tfgen.serving.forms import Form
from tfgen.verbs import Text
from tfgen.verbs.graphs import tokens_of


def graph_of(path):
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]


def requests(path):
    """The requests of a warm-up file, read with TensorFlow's reader and TF Serving's message."""
    records = tf.data.TFRecordDataset(str(path / "assets.extra/tf_serving_warmup_requests")).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]


def test_a_version_carries_one_request_per_signature_and_batch_size_that_it_answers(tmp_path, loader):
    path = export.export(tiny("conditional_vae"), tmp_path / "digits", form=Form(warmup_batch_sizes=(1, 5)))
    signatures, seen = graph_of(path).signature_def, []
    loader.load(path)
    for request in requests(path):
        name = request.model_spec.signature_name
        assert request.model_spec.name == "digits" and not request.model_spec.HasField("version")
        given = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
        assert set(given) == set(signatures[name].inputs)
        infos = signatures[name].inputs
        assert all(given[key].dtype == tf.as_dtype(infos[key].dtype).as_numpy_dtype for key in given)
        made = loader.run({infos[key].name: array for key, array in given.items()},
                          {key: info.name for key, info in signatures[name].outputs.items()})
        rows = {len(array) for array in (*given.values(), *made.values())}
        assert len(rows) == 1 and all(np.isfinite(array).all() for array in made.values())
        seen.append((name, *rows))
    verbs = ["serving_default", "reconstruct", "encode", "decode", "sample", "log_prob"]
    assert sorted(seen) == sorted((name, rows) for name in verbs for rows in (1, 5))
    assert (path / warmup.FILE).stat().st_size < 5000


def test_signatures_are_chosen_and_the_first_of_the_table_is_the_default(tmp_path):
    path = export.export(tiny("vae"), tmp_path / "vae", form=Form(signatures=("sample", "encode"), warmup_batch_sizes=()))
    served = saved_model.Served(path)
    assert served.names == ["encode", "sample"] and set(served.about["verbs"]) == {"encode", "sample"}
    given, made = saved_model.tensors(path)["serving_default"]
    assert set(given) == {"x"} and set(made) == {"latents"} and requests(path) == []
    for names, message in ((("score",), r"some of reconstruct, .*, received 'score'"), ((), "at least one of")):
        with pytest.raises(UserError, match=message):
            export.export(tiny("vae"), tmp_path / "other", form=Form(signatures=names))
    assert not list(tmp_path.glob("other/*"))


def types_of(graph, operation):
    return {node.attr["T"].type for function in graph.graph_def.library.function for node in function.node_def
            if node.op == operation}


def test_bfloat16_is_inside_alone(tmp_path, loader):
    model = tiny("conditional_vae")
    for weight in model.trainable_variables:  # so large that outputs vary
        weight.assign(3.0 * weight)
    plain = export.export(model, tmp_path / "plain", form=Form(signatures=("decode",)))
    path = export.export(model, tmp_path / "mixed", form=Form("bfloat16", signatures=("decode",)))
    assert tf.bfloat16.as_datatype_enum in types_of(graph_of(path), "MatMul")
    assert tf.bfloat16.as_datatype_enum not in types_of(graph_of(plain), "MatMul")
    # The layer that makes the images.
    assert types_of(graph_of(path), "Conv2DBackpropInput") == {tf.float32.as_datatype_enum}
    infos = graph_of(path).signature_def["decode"]
    assert {info.dtype for info in (infos.inputs["z"], infos.outputs["images"])} == {tf.float32.as_datatype_enum}
    weights = tf.train.load_checkpoint(str(path / "variables/variables")).get_variable_to_dtype_map()
    assert tf.bfloat16 not in weights.values() and tf.float32 in weights.values()
    # Compared with the model in float32, from which it differs as bfloat16's 8 bits do.
    found = {row.difference for row in check.check(path, loader, timed=())}
    assert 1e-5 < max(found) <= forms.TOLERANCES["bfloat16"] == check.tolerance_of(path)
    assert model.dtype_policy.name == "float32" and check.tolerance_of(plain) == 1e-4


def test_what_bfloat16_computes_too_badly_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(forms.TOLERANCES, "bfloat16", 1e-7)
    with pytest.raises(Failure, match=r"the exported 'encode' differs from the model by .* bfloat16 may differ by 1e-07 .*: "
                                      r"leave --precision out, or 'encode', with --signatures sample"):
        export.export(tiny("vae"), tmp_path / "vae", form=Form("bfloat16", signatures=("encode", "sample")))
    assert not list((tmp_path / "vae").glob("*"))


class Captioned(GenerativeModel):
    """Images of a word's number."""

    image_shape = (2, 2, 1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def verb_options(self, name):
        return {"caption": Text(("dark", "light"), 1, ("dark", "light"), "what to draw")} if name == "sample" else {}

    def decode(self, z):
        return tf.reshape(z, (-1, *self.image_shape))

    def sample(self, seeds, caption):
        tokens = tf.cast(tokens_of(caption, ("dark", "light"), 1, "caption"), tf.float32) / 2.0
        return tf.tile(tf.reshape(tokens, (-1, 1, 1, 1)), (1, *self.image_shape))

    latent_shape = (4,)


def test_xla_compiles_signatures_and_what_it_cannot_is_refused(tmp_path, loader):
    path = export.export(Captioned(), tmp_path / "one", form=Form(xla=True, signatures=("decode",)))
    assert any(function.attr["_XlaMustCompile"].b for function in graph_of(path).graph_def.library.function)
    assert max(row.difference for row in check.check(path, loader, timed=())) < 1e-6
    assert saved_model.Served(path).about["xla"] is True
    with pytest.raises(Failure, match="XLA cannot compile 'sample' .*: leave --xla out, or 'sample', with --signatures "
                                      "decode") as caught:
        export.export(Captioned(), tmp_path / "two", form=Form(xla=True))
    assert "\n" not in str(caught.value) and not list((tmp_path / "two").glob("*"))
    plain = export.export(Captioned(), tmp_path / "three")
    assert not any(function.attr["_XlaMustCompile"].b for function in graph_of(plain).graph_def.library.function)


def test_samples_are_the_same_with_xla(tmp_path):
    model = tiny("vae")
    path = export.export(model, tmp_path / "vae", form=Form(xla=True, signatures=("sample",)))
    np.testing.assert_allclose(saved_model.Served(path)("sample", np.arange(4)), model.sample(tf.range(4, dtype=tf.int64)),
                               atol=1e-5)
    assert SPEC.image_shape == model.image_shape


@pytest.mark.rotating
def test_new_noise_is_new_in_each_process_with_xla_too(tmp_path):
    """What XLA compiles draws alike in each process: it is drawn outside."""
    path = export.export(tiny("vae"), tmp_path / "vae", form=Form(xla=True, signatures=("sample",)))
    about, made = graph_of(path).signature_def["sample"], []
    for _ in range(2):
        with native.Loader() as process:
            process.load(path)
            made.append(process.run({about.inputs["seeds"].name: np.array([-1, -1, 5])},
                                    {"images": about.outputs["images"].name})["images"])
    first, second = made
    assert min(np.abs(first[0] - second[0]).max(), np.abs(first[0] - first[1]).max()) > 1e-4
    np.testing.assert_array_equal(first[2], second[2])


@pytest.mark.parametrize("served, wanted, found", [
    ([0.5], [0.25], 0.25), ([110.0], [100.0], 0.1), ([np.inf], [np.inf], 0.0), ([np.nan], [np.nan], 0.0),
    ([np.inf], [1.0], np.inf), ([np.nan], [1.0], np.inf), ([1.0], [np.nan], np.inf), ([1.0, 2.0], [1.0], np.inf)])
def test_differences_are_absolute_up_to_one_and_relative_above(served, wanted, found):
    assert export.difference(np.array(served, "f4"), np.array(wanted, "f4")) == pytest.approx(found, rel=1e-6)


def test_codes_are_equal_or_not():
    assert export.difference(np.array([3, 4]), np.array([3, 4])) == 0 and export.difference(
        np.array([3, 5]), np.array([3, 4])) == np.inf

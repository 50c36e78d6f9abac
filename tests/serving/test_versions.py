"""Versions of a model on a server: picked up while it runs, refused when broken, chosen by policies and labels."""

import shutil
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from tfgen.serving import answers, check, models, saved_model  # noqa: E402
from tfgen.serving.batching import Batching  # noqa: E402
from tfgen.serving.grpc_service import Waits  # noqa: E402
from tfgen.serving.metrics import Metrics  # noqa: E402
from tfgen.serving.refusals import Refused  # noqa: E402
from tfgen.serving.versions import Signature  # noqa: E402


def save(folder, factor):
    """A SavedModel whose signature multiplies rows by a variable, written aside and renamed."""
    module = tf.Module()
    module.factor = tf.Variable(float(factor))
    module.multiply = tf.function(lambda x: {"y": module.factor * x}, [tf.TensorSpec((None, 2), tf.float32, name="x")])
    aside = folder.parents[1] / f"aside-{folder.name}"
    tf.saved_model.save(module, str(aside), signatures={"serving_default": module.multiply})
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(folder)
    return folder


@pytest.fixture
def served(tmp_path):
    made = []

    def make(folder=tmp_path / "models", **batching):
        made.append(models.Models(folder, Batching(**batching), Metrics(), poll=0.05))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(found, number=None, label="", name="m"):
    """The factor with which a model answers."""
    version, waits = found.model(name).take(number, label), Waits()
    task = found.put(version, name, "", {"x": np.ones((1, 2), "f4")}, (), waits.told)
    return waits.end(task, 20)["y"][0, 0]


def test_what_clients_ask_for_makes_no_more_callables_than_sets_of_outputs(served, tmp_path):
    save(tmp_path / "models" / "m" / "1", 3)
    version = served().model("m").take()
    for count in range(5):
        assert version.run("", {"x": np.ones((1, 2), "f4")}, ("y",) * count)["y"][0, 0] == 3
    assert len(version._calls) == 1
    version.leave()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_versions_come_and_go_without_a_lost_request(tmp_path, served, capsys):
    """Requests go on while version 2 comes, 3 is broken, 4 is half there, and 5 comes; answers never go back."""
    folder = tmp_path / "models" / "m"
    save(folder / "1", 1)
    found, answered, stop = served(), [], threading.Event()

    def work():
        while not stop.is_set():
            answered.append(asked(found))

    thread = threading.Thread(target=work)
    thread.start()
    model = found.model("m")
    old = model.versions[1]
    save(folder / "2", 2)
    until(lambda: set(model.versions) == {2})
    until(lambda: old.session._closed)
    # Not in the folder of models, where it would be one of its own.
    broken = save(tmp_path / "aside" / "3", 3)
    shard = next((broken / "variables").glob("*.data*"))
    shard.write_bytes(shard.read_bytes()[:2])
    broken.rename(folder / "3")
    until(lambda: model.states.get(3, ("",))[0] == "END")
    (folder / "4").mkdir()
    time.sleep(0.2)
    assert set(model.versions) == {2} and 4 not in model.states
    save(folder / "5", 5)
    until(lambda: set(model.versions) == {5})
    until(lambda: answered and answered[-1] == 5)
    stop.set()
    thread.join()
    assert answered == sorted(answered) and set(answered) <= {1, 2, 5}
    errors = capsys.readouterr().err
    assert "m: version 3 cannot be served (" in errors and "version 2 goes on" in errors and errors.count("version 3") == 1
    status = {one.version: one for one in answers.status(model).model_version_status}
    assert status[5].state == 30 and status[3].state == 50 and status[3].status.error_message
    with pytest.raises(Refused, match=r"Servable not found for request: Specific\(m, 2\)"):
        asked(found, 2)


def test_a_broken_newest_version_at_the_start_leaves_the_one_before(tmp_path, served):
    folder = tmp_path / "models" / "m"
    save(folder / "1", 1)
    shutil.copytree(folder / "1", folder / "2")
    (folder / "2" / "saved_model.pb").write_bytes(b"nonsense")
    found = served()
    assert asked(found) == 1
    # Written again, it is tried again.
    shutil.rmtree(folder / "2")
    save(folder / "2", 2)
    until(lambda: asked(found) == 2)


def test_versions_may_begin_with_zeros_as_those_of_tf_serving(tmp_path, served, capsys):
    """Other names that look like numbers, and numbers that no request can name, are passed over, also while it serves."""
    folder = tmp_path / "models" / "m"
    save(folder / "00000123", 123)
    (folder / str(2**63)).mkdir()
    found = served()
    assert asked(found) == asked(found, 123) == 123
    (folder / "2\u00b2").mkdir()
    (folder / "\u0663").mkdir()
    time.sleep(0.2)
    save(folder / "0124", 124)
    until(lambda: asked(found) == 124)
    assert "cannot be read" not in capsys.readouterr().err
    assert answers.status(found.model("m")).model_version_status[0].version == 124
    assert check.versions(folder) == [folder / "00000123", folder / "0124"] and saved_model.is_saved_model(folder)
    assert saved_model.Served(folder).path == folder / "0124"


def test_no_error_ends_the_watch(tmp_path, served, monkeypatch, capsys):
    folder, policies, faults = tmp_path / "models" / "m", models.policies, [ZeroDivisionError("division\nby zero")]
    save(folder / "1", 1)
    found = served()

    def failing(given):
        if faults:
            raise faults.pop()
        return policies(given)

    monkeypatch.setattr(models, "policies", failing)
    save(folder / "2", 2)
    until(lambda: asked(found) == 2)
    assert "cannot be read (division by zero); all goes on as it was" in capsys.readouterr().err


def test_a_signature_without_inputs_takes_none():
    signature = Signature(meta_graph_pb2.SignatureDef())
    assert not signature.joins and signature.check({}, (), 5) == 1


@pytest.mark.rotating
def test_policies_and_labels(tmp_path, served):
    """`models.config` with base paths of a container; a folder of one model's versions; a model that comes later."""
    folder = tmp_path / "models"
    for number in (1, 2, 3):
        save(folder / "m" / str(number), number)
    only = served(folder / "m")
    assert asked(only) == 3 and set(only.model("m").versions) == {3}
    text = 'model_config_list {{ config {{ name: "m" base_path: "/models/m" model_platform: "tensorflow" {} }} }}'
    config = folder / "models.config"
    config.write_text(text.format('model_version_policy { specific { versions: 1 versions: 3 } } '
                                  'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 3 }'))
    found = served()
    assert [asked(found), asked(found, 1), asked(found, 0, "stable"), asked(found, 0, "canary")] == [3, 1, 1, 3]
    with pytest.raises(Refused, match="Unrecognized servable version label: none"):
        asked(found, 0, "none")
    config.write_text(text.format("model_version_policy { latest { num_versions: 2 } }"))
    until(lambda: set(found.model("m").versions) == {2, 3})
    config.write_text(text.format("model_version_policy { all {} }"))
    until(lambda: set(found.model("m").versions) == {1, 2, 3})
    config.unlink()
    save(folder / "other" / "1", 7)
    until(lambda: "other" in found.models and found.models["other"].versions)
    assert asked(found, name="other") == 7 and asked(found) == 3

"""Inputs of verbs from files."""

import pathlib
import types

import numpy as np
import pytest
from helpers import pixels, write_images

from tfgen import data, files
from tfgen.cli import inputs, known_classes
from tfgen.data.classes import title_of
from tfgen.errors import UserError
from tfgen.verbs import Option


def model(names, label=True, high=3):
    option = {"label": Option("int64", None, 0, high, "class")} if label else {}
    return types.SimpleNamespace(class_names=names, options={"sample": option, "score": {}}, vectors=False,
                                 image_shape=(6, 6, 1), resize="stretch")


def numbered(labels, live, verb="sample", class_names=()):
    labels = None if labels is None else np.array(labels)
    return known_classes.numbered("a.npz", labels, class_names, live, live.options[verb].get("label"))


@pytest.mark.parametrize("names, given, expected", [
    (("1", "2", "4"), [4, 1], [2, 0]), ((), [3, 1], [3, 1]), (("cat", "dog", "cow", "hen"), [1, 0], [1, 0])])
def test_labels_of_arrays_are_the_models_unless_its_classes_are_other_numbers(names, given, expected):
    labels, class_names = numbered(given, model(names))
    assert labels.tolist() == expected and class_names == names
    assert numbered(None, model(names)) == (None, ())


@pytest.mark.parametrize("names, given, classes", [
    (("1", "2", "4"), 3, "1, 2, 4"), ((), 4, "0 to 3"), ((), -1, "0 to 3"), (("cat", "dog", "cow", "hen"), 4, "0 to 3")])
def test_a_class_that_the_model_does_not_know(names, given, classes):
    with pytest.raises(UserError, match=f"expected the classes {classes} in a.npz, received '{given}'"):
        numbered([given, given], model(names))
    # They are shown by their own names where the verb takes no labels, whether others take some or not.
    for label, verb in ((False, "sample"), (True, "score")):
        labels, class_names = numbered([given, given], model(names, label), verb)
        assert labels.tolist() == [given, given] and class_names == ()


def test_classes_of_a_server_that_does_not_tell_how_many_there_are(tmp_path):
    """All of their names would fill any memory."""
    live = model(())
    live.options["sample"]["label"] = Option("int64", None, -2**63, 2**63 - 1, "")
    assert numbered([2**63 - 1, 7], live)[0].tolist() == [2**63 - 1, 7]
    assert numbered([0, 1], live, class_names=("10", "0"))[0].tolist() == [10, 0]
    for name in ("cat", "01", "-1", "1.0", "²", "9" * 5000, str(2**63)):
        with pytest.raises(UserError, match=f"expected the classes 0 to {2**63 - 1} in a.npz, received"):
            numbered([0], live, class_names=(name,))
    for name in ("2", "11"):
        write_images(tmp_path / name, 1)
    x, labels, *_ = inputs.images_of(None, live, str(tmp_path), None, verb="sample")
    assert len(x) == 2 and labels.tolist() == [11, 2]


@pytest.mark.parametrize("label", [True, False])
def test_folders_named_by_the_numbers_of_a_model_whose_classes_have_no_names(tmp_path, label):
    for name in ("10", "3", "7"):
        write_images(tmp_path / name, 2)
    _, labels, class_names, paths, _ = inputs.images_of(None, model((), label, high=10), str(tmp_path), None, verb="sample")
    assert [title_of(place, class_names) for place in labels] == [pathlib.Path(path).parent.name for path in paths]
    if label:
        assert labels.tolist() == [10, 10, 3, 3, 7, 7]
        write_images(tmp_path / "11", 2)
        assert inputs.images_of(None, model((), high=10), str(tmp_path), None, verb="sample")[1:3] == (None, ())


def test_a_legend_is_of_classes_wherever_the_images_are_from(tmp_path, monkeypatch):
    given = np.repeat([0, 2, 3], 20)
    np.savez(tmp_path / "a.npz", x=pixels(60, 6, 6), y=given)
    own = data.load(tmp_path / "a.npz")
    files.write_json(tmp_path / "run.json", dict.fromkeys(("recipe", "hyperparameters", "seed", "epochs", "batch_size"))
                     | {"data": own.source})
    for name in ("0", "2", "3"):
        write_images(tmp_path / "folder" / name, 20)
    live, found = model(own.spec.class_names, label=False), {}
    for images in (None, "a.npz", "folder"):
        _, labels, class_names, *_ = inputs.images_of(tmp_path, live, images and str(tmp_path / images), None)
        assert class_names == ("0", "2", "3")
        found[images] = labels.tolist()
    assert found[None] == own.labels("test").tolist()
    assert found["a.npz"] == found["folder"] == np.repeat([0, 1, 2], 20).tolist()
    # Those of other data have names of their own.
    live.image_shape = (8, 8, 1)
    digits = data.load("digits")
    _, labels, class_names, *_ = inputs.images_of(tmp_path, live, "digits", 50)
    assert class_names == digits.spec.class_names and labels.tolist() == digits.labels("test")[:50].tolist()
    shown = {}
    monkeypatch.setattr(inputs.latent, "plot_codes", lambda live, x, labels, path, **about: shown.update(about))
    request = inputs.Request(None, None, live, {"out": tmp_path / "x.png"}, labels=labels, class_names=class_names)
    request.images = lambda: np.zeros((50, 8, 8, 1))
    inputs.write_latents(request, np.zeros((50, 2)), {})
    assert shown == {"class_names": class_names}

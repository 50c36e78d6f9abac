"""`tfgen ui`: what it needs and what it says; the page itself is tested in tests/ui."""

import importlib.util
import pathlib

import pytest

needs_extra = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="the extra 'ui' is not installed")


def test_without_the_extra_it_says_how_to_get_it(tfgen, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest))
    code, out, err = tfgen("ui", "saved_models")
    assert code == 2 and err.count("\n") == 1 and "pip install 'tfgen[ui]'" in err


@needs_extra
def test_a_folder_without_models_says_how_to_get_one(tfgen):
    pathlib.Path("saved_models").mkdir()
    code, out, err = tfgen("ui", "saved_models")
    assert code == 2 and err.count("\n") == 1 and "tfgen train" in err and "tfgen export" in err


@needs_extra
def test_the_only_model_is_opened_before_the_page(tfgen):
    broken = pathlib.Path("saved_models/broken/1")
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"nothing")
    code, out, err = tfgen("ui", "saved_models", "--no-open", "--port", 0)
    assert code == 2 and err.count("\n") == 1 and "broken" in err and "export it again" in err

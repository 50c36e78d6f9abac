"""Every app by its fast path, in this process."""

import importlib.util
import pathlib

import numpy as np
import pytest
from PIL import Image

from tfgen import figures

APPS = pathlib.Path(__file__).parents[1] / "apps"


@pytest.fixture
def app(monkeypatch, tmp_path):
    """Loads apps/NAME.py with records going to a temporary folder."""
    monkeypatch.setattr(figures, "RESULTS", tmp_path)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, APPS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_few_labels(app, tmp_path):
    scores = app("few_labels").main(fast=True, out=tmp_path)
    assert set(scores) == {"from scratch", "pre-trained"}
    assert all(0 <= value <= 1 for arm in scores.values() for seeds in arm.values() for value in seeds)
    assert Image.open(tmp_path / "pictures" / "few_labels.png").size[0] > 400


def test_few_labels_subsets_are_balanced(app):
    labels = np.arange(1000) % 10
    chosen = app("few_labels").subset(labels, 100, 3)
    assert len(set(chosen)) == 100 and np.bincount(labels[chosen]).tolist() == [10] * 10


def test_kl_weight_sweep(app, tmp_path):
    made = app("kl_weight_sweep").main(fast=True, out=tmp_path / "sweep.png")
    assert made and Image.open(tmp_path / "sweep.png").size[0] > 400


def test_gan_failure_modes(app, tmp_path):
    made = app("gan_failure_modes").main(fast=True, out=tmp_path)
    assert 0 <= made["wgan_gp_high_quality"] <= 1 and [row["system"] for row in made["table"]] == ["gan", "wgan_gp", "sngan"]
    assert all(Image.open(tmp_path / f"{name}.png").size[0] > 400 for name in ("ring", "grid", "faces", "minmax"))
    assert not list(tmp_path.glob("*.json"))


def test_every_app_has_a_test():
    text = pathlib.Path(__file__).read_text()
    assert all(f'app("{path.stem}")' in text for path in APPS.glob("*.py"))

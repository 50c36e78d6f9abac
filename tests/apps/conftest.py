"""Each app of apps/, loaded as a module."""

import importlib.util
import pathlib

import pytest

from tfgen import data
from tfgen.errors import UserError
from tfgen.figures import records

APPS = pathlib.Path(__file__).parents[2] / "apps"


@pytest.fixture
def app(monkeypatch, tmp_path):
    """Loads apps/NAME.py with records going to a temporary folder."""
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    # Apps may import each other.
    monkeypatch.syspath_prepend(APPS)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, APPS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def fashion():
    try:
        return data.load("fashion_mnist")
    except UserError:
        pytest.skip("fashion_mnist is not prepared (tfgen data prepare)")

"""Records and published figures."""

import json

import pytest

from tfgen import figures
from tfgen.figures import records


def test_a_record_holds_versions_and_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = records.record("speed", {"ratio": 1.5}, title="Speed")
    assert made["versions"]["tensorflow"] and made["date"]
    assert json.loads((tmp_path / "results" / "speed.json").read_text()) == made


def test_unknown_figures_are_named():
    with pytest.raises(ValueError, match="did you mean 'vae'"):
        figures.reproduce("vea")
    with pytest.raises(ValueError, match="expected one of"):
        figures.reproduce("x")

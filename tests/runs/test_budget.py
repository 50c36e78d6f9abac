import json

import pytest

from tfgen import data, figures, recipes
from tfgen.figures import records
from tfgen.runs import budget


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


def test_a_training_of_some_minutes_sees_the_recipes_own_batches_and_augmentation(monkeypatch):
    dataset = data.load("digits", pairs="edges")
    asked = {}
    train = dataset.train
    monkeypatch.setattr(dataset, "train", lambda *args, **options: train(*asked.setdefault("arguments", args), **options))
    model, cost = budget.train_for_budget(0.0, recipes.find("pix2pix"), dataset, 4, {"filters": 2})
    assert asked["arguments"][4] is model.augmentation is not None
    assert cost["steps"] == 20 and cost["images"] == 80 and cost["images_per_cpu_s"] > 0

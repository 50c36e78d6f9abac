import json

import pytest

from tfgen import data, figures, recipes


def test_a_record_becomes_a_section(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figures.record("speed", {"ratio": 1.234567, "ratio_min": 1.0, "ratio_max": 2.0, "units": 3}, title="Speed",
                   command="make bench", published={"value": 1.1, "source": "a paper"})
    made = json.loads((tmp_path / "results" / "speed.json").read_text())
    assert made["versions"]["tensorflow"] and made["date"]
    figures.write_table()
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.endswith("\n## Speed\n\n`make bench` · [record](results/speed.json)\n\nPublished: 1.1 (a paper).\n\n"
                         "| quantity | value |\n|---|---|\n| ratio | 1.235 (1 … 2) |\n| units | 3 |\n")


def test_the_committed_table_is_that_of_the_committed_records(tmp_path, monkeypatch, request):
    root = request.config.rootpath
    wanted = (root / "RESULTS.md").read_text()
    monkeypatch.setattr(figures, "RESULTS", root / "results")
    monkeypatch.chdir(tmp_path)
    figures.write_table()
    assert (tmp_path / "RESULTS.md").read_text() == wanted


def test_unknown_figures_are_named():
    with pytest.raises(ValueError, match="did you mean 'vae'"):
        figures.reproduce("vea")
    with pytest.raises(ValueError, match="expected one of"):
        figures.reproduce("x")


def test_a_training_of_some_minutes_sees_the_recipes_own_batches_and_augmentation(monkeypatch):
    dataset = data.load("digits", pairs="edges")
    asked = {}
    train = dataset.train
    monkeypatch.setattr(dataset, "train", lambda *args, **options: train(*args, **asked.setdefault("options", options)))
    model, cost = figures.trained_within(0.0, recipes.find("pix2pix"), dataset, 4, {"filters": 2})
    assert asked["options"]["augment"] is model.augmentation is not None
    assert cost["steps"] == 20 and cost["images"] == 80 and cost["images_per_cpu_s"] > 0

"""The models of saved_models/: how they are made, and that those in the repository are what their cards say."""

import hashlib
import pathlib

import pytest

from tfgen.errors import UserError
from tfgen.serving import examples, saved_model

ROOT = pathlib.Path(__file__).parents[2]


def listed(folder):
    """{path: SHA-256} as SHA256SUMS of a model's folder has it, and as the files are."""
    said = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in folder.glob("*/**/*") if path.is_file()}
    return said, found


@pytest.mark.rotating
def test_starter_models(app, tmp_path, capsys):
    starter = app("starter_models")
    where = {"folder": tmp_path / "served", "kept": tmp_path / "kept", "fast": True}
    starter.main(only=["boots_ae_anomaly"], **where)
    place, kept = tmp_path / "served" / "boots_ae_anomaly", tmp_path / "kept" / "boots_ae_anomaly.keras"
    said, found = listed(place)
    assert said == found and "1/saved_model.pb" in found
    card = (place / "README.md").read_text("utf-8")
    for text in ("`python apps/starter_models.py --only boots_ae_anomaly`", "MIT licence", "20 steps of 16", "AUROC of",
                 "`ae_anomaly`, arXiv:1812.02765", "CPU minutes"):
        assert text in card
    assert {key: len(kept) for key, kept in examples.read_pictures(place / "1").items()} == {"images": 40, "labels": 40}
    # Again: not trained, and one version stays.
    before = kept.stat().st_mtime_ns
    starter.main(only=["boots_ae_anomaly"], **where)
    assert kept.stat().st_mtime_ns == before and list(saved_model.export_paths(place)) == [2]
    said, found = listed(place)
    assert said == found and "MB of 40" in capsys.readouterr().out
    with pytest.raises(UserError, match="expects one of fashion_vae, .*, received 'vae'"):
        starter.main(only=["vae"], **where)


def test_those_in_the_repository(app):
    """Every starter is there, with its files unchanged, and git keeps exactly these."""
    starter, folder = app("starter_models"), ROOT / "saved_models"
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert [f"!saved_models/{name}/" for name in starter.STARTERS] == [
        line for line in lines if line.startswith("!saved_models/") and line.endswith("/")]
    for name in starter.STARTERS:
        said, found = listed(folder / name)
        assert said == found, f"{name}: train or export it anew with apps/starter_models.py --only {name}"
        assert name in (folder / name / "README.md").read_text("utf-8").splitlines()[0]
        assert name in (folder / "README.md").read_text("utf-8")
    assert sum(starter.megabytes(folder / name) for name in starter.STARTERS) <= starter.LIMIT

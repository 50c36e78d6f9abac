"""Commands on folders of images: translate, score."""

import json
import pathlib

import numpy as np
import pytest
from cases import SMALL, tiny
from PIL import Image

from tfgen.cli import lazy
from tfgen.serving import examples, export


def write_photos(folder):
    """Three images of other sizes and modes, in a subfolder too, and a file that is none."""
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, shape in (("a.png", (8, 8)), ("b.jpg", (20, 13, 3)), ("more/c.png", (5, 9, 4))):
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / ".hidden.png").write_bytes(b"passed over")


@pytest.mark.rotating
def test_translate_a_folder(tfgen, opened_once, tmp_path):
    small = ["--set", "filters=2", "--set", "blocks=1", "--batch-size", "64", "--quiet"]
    code, _, err = tfgen("train", "cyclegan", "--domains", "0,1", "--epochs", 1, "--out", "run", *small)
    assert code == 0, err
    write_photos(tmp_path / "photos")
    assert tfgen("export", "run", "--to", "served")[0] == 0
    for model, out in (("run", "ours"), ("served", "theirs")):
        code, text, err = tfgen("translate", model, "--images", "photos", "--out", out)
        assert code == 1 and "wrote 3 translations" in text and err.count("passed over") == 1 and "broken.png" in err
        written = {str(p.relative_to(out)) for p in pathlib.Path(out).rglob("*") if p.is_file()}
        assert written == {"a.png", "b.jpg", "more/c.png"}
        assert all(Image.open(pathlib.Path(out) / name).size == (8, 8) for name in written)
    ours, theirs = (np.asarray(Image.open(pathlib.Path(out) / "a.png")).astype(int) for out in ("ours", "theirs"))
    assert np.abs(ours - theirs).max() <= 1
    (tmp_path / "photos" / "broken.png").unlink()
    assert tfgen("translate_back", "run", "--images", "photos", "--out", "photos/out", "--resize-back")[0] == 0
    assert Image.open("photos/out/b.jpg").size == (13, 20) and Image.open("photos/out/more/c.png").size == (9, 5)
    back = np.asarray(Image.open("photos/out/a.png")).astype(int)
    assert np.abs(back - ours).max() > 1
    # What was written among the images is not translated again.
    assert "wrote 3 " in tfgen("translate", "run", "--images", "photos", "--out", "photos/out")[1]
    for arguments, message in ((["--images", "nowhere", "--out", "x"], "expected a folder of images"),
                               (["--images", "photos", "--out", "photos"], "it would replace them"),
                               (["--images", "served", "--out", "x"], "received none"),
                               (["--images", "photos", "--out", "x", "--option", "seed=1"], "takes no option 'seed'")):
        code, _, err = tfgen("translate", "run", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("x").exists()


@pytest.mark.rotating
def test_a_detector_from_training_to_a_report(tfgen, opened_once, tmp_path):
    code, _, err = tfgen("train", "ae_anomaly", "--normal", 3, "--epochs", 1, "--out", "run", *SMALL)
    assert code == 0, err
    metrics = json.loads(pathlib.Path("run/metrics.json").read_text())
    assert metrics["threshold"]["asked_fpr"] == 0.05 and pathlib.Path("run/anomaly_maps/epoch-0001.png").exists()
    assert metrics["validation"]["detection"]["fpr"] <= 0.05
    code, out, err = tfgen("evaluate", "run")
    found = json.loads(out)["detection"]
    assert code == 0 and 0 < found["auroc"] < 1 and found["fpr_low"] <= found["fpr"] <= found["fpr_high"], err
    assert found["threshold"] == metrics["threshold"]["threshold"] and found["normal"] + found["anomalous"] == 250
    code, out, err = tfgen("export", "run", "--to", "served", "--fpr", 0.25, "--pictures", 5)
    assert code == 0 and "at most 0.25 on average, from 20 held-out normal images" in out, err
    about = json.loads(pathlib.Path("served/1/assets.extra/tfgen.json").read_text())
    assert about["threshold"]["threshold"] < metrics["threshold"]["threshold"]
    assert {key: len(kept) for key, kept in examples.read_pictures("served/1").items()} == {"images": 5, "labels": 5}
    write_photos(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").unlink()
    for model, where in (("run", metrics), ("served", about)):
        for name, shape in (("maps.npy", (4, 8, 8)), ("maps.png", None)):
            assert tfgen("anomaly_map", model, "--n", 4, "--out", name)[0] == 0
            assert shape is None or np.load(name).shape == shape
        code, out, err = tfgen("anomaly_map", model, "--images", "photos", "--out", "maps.npy")
        assert code == 0 and np.load("maps.npy").shape == (3, 8, 8), err
        code, out, err = tfgen("score", model, "--images", "photos", "--out", f"report-{model}")
        assert code == 0 and f"at threshold {where['threshold']['threshold']:.4g}: report-{model}/index.html" in out, err
    first = [pathlib.Path(f"report-{model}/scores.csv").read_text().split("\n")[1] for model in ("run", "served")]
    scores = [line.split(",")[:2] for line in first]
    assert scores[0][0] == scores[1][0] and float(scores[0][1]) == pytest.approx(float(scores[1][1]), rel=1e-4)
    for value, message in ((0.01, "needs at least 99 held-out normal images, there are 20"),
                           (1.5, "expects a number in (0, 1)")):
        code, _, err = tfgen("export", "run", "--to", "other", "--fpr", value)
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("other").exists()


class Bright:
    """Scores an image by its mean; its map is the image."""

    names, image_shape, resize, vectors = ["score", "anomaly_map"], (8, 8, 1), "stretch", False

    def __init__(self, threshold):
        self.threshold = threshold

    def __call__(self, name, x):
        return x.mean(axis=(1, 2, 3)) if name == "score" else x[..., 0]

    def outputs(self, name, x, batch_size=32):
        score = self(name, x)
        return {"maps": score} if name == "anomaly_map" else {
            "score": score, "is_anomaly": score > self.threshold, "threshold": np.full(len(x), self.threshold, "f4")}


def test_score_a_folder(tfgen, tmp_path, monkeypatch):
    write_photos(tmp_path / "photos")
    monkeypatch.setattr(lazy.opening, "open_verbs", lambda path: Bright(0.25 if path.name == "run" else np.inf))
    code, out, err = tfgen("score", "run", "--images", "photos", "--out", "report")
    assert code == 1 and out == "scored 3 images, 3 anomalous at threshold 0.25: report/index.html\n"
    assert err.count("passed over: ") == err.count("\n") == 1 and "broken.png" in err
    (tmp_path / "photos" / "broken.png").unlink()
    code, out, err = tfgen("score", "run", "--images", "photos", "--out", "report", "--threshold", 0.99, "--top", 1)
    assert code == 0 and "3 images, 0 anomalous at threshold 0.99:" in out and not err
    assert [path.name for path in pathlib.Path("report/overlays").iterdir()] == ["rank-00001.png"]
    code, out, _ = tfgen("score", "bare", "--images", "photos", "--out", "report")
    assert code == 0 and "0 anomalous at threshold inf (not calibrated: tfgen export --fpr" in out and out.count("\n") == 1


def test_score_by_tiles(tfgen, tmp_path, monkeypatch):
    """A bright corner, which resizing averages away."""
    pixels = np.zeros((80, 80), np.uint8)
    pixels[70:, 70:] = 255
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos" / "corner.png")
    monkeypatch.setattr(lazy.opening, "open_verbs", lambda path: Bright(0.5))
    scored = ["score", "run", "--images", "photos", "--out", "report"]
    assert "1 images, 0 anomalous" in tfgen(*scored)[1] and "1 images, 1 anomalous" in tfgen(*scored, "--tiles", 0.5)[1]
    code, _, err = tfgen(*scored, "--tiles", 1)
    assert code == 2 and "overlap of tiles expects a share in [0, 1), received 1.0" in err and err.count("\n") == 1


def test_a_model_that_cannot_score(tfgen, opened_once, tmp_path):
    write_photos(tmp_path / "photos")
    export.export(tiny("vae"), tmp_path / "served")
    for arguments, message in ((["served"], "this model cannot score; it has reconstruct, encode"),
                               (["nowhere"], "there is no"), (["served", "--top", 0], "--top")):
        code, _, err = tfgen("score", *arguments, "--images", "photos", "--out", "report")
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("report").exists()

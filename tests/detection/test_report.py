import csv
import html.parser
import weakref

import numpy as np
import pytest
from PIL import Image

from tfgen.detection import heat
from tfgen.detection import report as anomaly_report
from tfgen.errors import UserError
from tfgen.serving import folders

NAMES = ["a <&> b.png", "more/c.png", "more/deep/d e.jpg", "wide.png"]


class Brightness:
    """Scores an image by its mean; its map is the image."""

    image_shape, resize = (8, 8, 1), "stretch"

    def __init__(self, threshold=0.5, names=("score", "anomaly_map")):
        self.threshold = threshold
        self.names = names
        self.asked = []

    def __call__(self, name, x):
        self.asked.append((name, len(x)))
        return x[..., 0] if name == "anomaly_map" else x.mean(axis=(1, 2, 3))

    def outputs(self, name, x):
        score = self(name, x)
        return {"score": score, "is_anomaly": score > self.threshold,
                "threshold": np.full(len(x), self.threshold, np.float32)}


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


@pytest.fixture
def photos(tmp_path):
    """Images of grey levels 51, 255, 102 and 153 in the order of NAMES, one of another size; and files that are none."""
    folder = tmp_path / "photos"
    (folder / "more/deep").mkdir(parents=True)
    for name, level, shape in zip(NAMES, (51, 255, 102, 153), ((8, 8), (8, 8), (300, 300, 3), (5, 400))):
        Image.fromarray(np.full(shape, level, np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("passed over")
    return folder


def table(out):
    with open(out / "scores.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def written(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


class Page(html.parser.HTMLParser):
    """Checks that the elements of a page nest; keeps its text and the pictures that it shows."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.pictures, self.links = [], "", [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append((dict(attrs)["src"], dict(attrs)["alt"]))
        elif tag != "meta":
            self.open.append(tag)
        self.links += [value for key, value in attrs if key in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_report_of_a_folder(photos, tmp_path):
    out = tmp_path / "new" / "report"
    report = anomaly_report.write(Brightness(), photos, out)
    assert report[:2] == (4, 2) and report.threshold == 0.5
    assert len(report.unreadable) == 1 and "broken.png" in report.unreadable[0]
    rows = table(out)
    assert [row["file"] for row in rows] == [NAMES[1], NAMES[3], NAMES[2], NAMES[0]]
    assert [float(row["score"]) for row in rows] == pytest.approx([1.0, 0.6, 0.4, 0.2], abs=1e-6)
    assert [row["is_anomaly"] for row in rows] == ["True", "True", "False", "False"]
    assert {float(row["threshold"]) for row in rows} == {0.5}
    assert written(out) == ["index.html", *(f"overlays/rank-0000{rank}.png" for rank in range(1, 5)), "scores.csv"]
    text = (out / "index.html").read_text()
    page = Page(text)
    assert page.pictures == [(f"overlays/rank-0000{rank}.png", row["file"]) for rank, row in enumerate(rows, 1)]
    assert page.links == ["scores.csv", *(source for source, _ in page.pictures)] and "<script" not in text
    assert "a <&> b.png" in page.text and "a &lt;&amp;&gt; b.png" in text and "a <&> b" not in text
    assert "Images scored: 4. Called anomalous: 2. Unreadable files: 1. Threshold: 0.5" in page.text
    assert page.text.index("Unreadable files") < page.text.index("broken.png") and "All images are below" in page.text


def test_overlays_share_one_scale(photos, tmp_path):
    anomaly_report.write(Brightness(), photos, tmp_path / "report")
    strangest, wide, _, least = (pixels(tmp_path / f"report/overlays/rank-0000{rank}.png") for rank in range(1, 5))
    # 8 pixels -> 256; 400 -> 256; two of them within a border of 2.
    assert strangest.shape == (260, 2 * 256 + 6, 3) and wide.shape == (7, 2 * 256 + 6, 3)
    assert (strangest[2:-2, 2:258] == 255).all() and (least[2:-2, 2:258] == 51).all()
    # Heat begins at 0.3, the median of 0.4 and 0.2, and full at 0.8, that of 1 and 0.6: red on white; 0.6 of it, orange.
    np.testing.assert_array_equal(strangest[100, 400], [255, 64, 64])
    share = 0.75 * 0.6
    np.testing.assert_allclose(wide[3, 400], 153 * (1 - share) + share * 255 * np.array([1.0, 0.4, 0.0]), atol=2)
    assert (least[2:-2, 260:-2] == 51).all(), "cool areas stay as they are"


def test_heat_of_constant_maps_is_none():
    assert heat.scale(np.full((3, 2, 2), 0.7), np.zeros(3, bool)) == (0.7, 0.7)
    image = np.random.default_rng(0).random((6, 9, 1), np.float32)
    over = heat.overlay(image, np.full((2, 2), 0.7, np.float32), np.float32(0.7), np.float32(0.7))
    np.testing.assert_allclose(over, np.repeat(image, 3, 2), atol=1e-6)


def test_page_has_the_strangest_and_the_second_report_replaces_the_first(photos, tmp_path):
    out = tmp_path / "report"
    anomaly_report.write(Brightness(), photos, out)
    (out / "overlays/mine.png").write_bytes(b"kept")
    model = Brightness()
    report = anomaly_report.write(model, photos, out, threshold=0.3, top=2)
    assert report[:2] == (4, 3) and len(table(out)) == 4 and {row["threshold"] for row in table(out)} == {"0.3"}
    assert written(out) == ["index.html", "overlays/mine.png", "overlays/rank-00001.png", "overlays/rank-00002.png",
                            "scores.csv"]
    page = Page((out / "index.html").read_text())
    assert len(page.pictures) == 2 and "The 2 most anomalous are below, all 4 in scores.csv" in page.text
    assert model.asked == [("score", 4), ("anomaly_map", 2)]


def test_model_without_maps_and_not_calibrated(photos, tmp_path):
    out = tmp_path / "report"
    report = anomaly_report.write(Brightness(np.inf, ["score"]), photos, out)
    assert report[:2] == (4, 0) and report.threshold == np.inf
    assert pixels(out / "overlays/rank-00001.png").shape == (256, 256)
    page = Page((out / "index.html").read_text())
    assert "not calibrated: tfgen export --fpr" in page.text and "heat" not in page.text
    assert {row["is_anomaly"] for row in table(out)} == {"False"} and {row["threshold"] for row in table(out)} == {"inf"}


def test_reports_among_the_images_are_not_scored(photos):
    for _ in range(2):
        assert anomaly_report.write(Brightness(), photos, photos / "report").scored == 4


def test_names_that_are_no_text(photos, tmp_path):
    name = b"\xff\n,.png".decode(errors="surrogateescape")
    Image.new("L", (8, 8), 255).save(photos / name)
    anomaly_report.write(Brightness(), photos, tmp_path / "report")
    assert name in [row["file"] for row in table(tmp_path / "report")]
    Page((tmp_path / "report/index.html").read_text())


def test_images_are_let_go(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for index in range(12):
        Image.new("L", (8, 8), 20 * index).save(tmp_path / f"photos/{index}.png")
    monkeypatch.setattr(folders, "BATCH_SIZE", 2)
    seen = []

    class Watched(Brightness):
        def __call__(self, name, x):
            # A batch of before may live until the next is bound.
            assert sum(batch() is not None for batch in seen) <= 1
            seen.append(weakref.ref(x))
            return super().__call__(name, x)

    model = Watched()
    assert anomaly_report.write(model, tmp_path / "photos", tmp_path / "report", top=3).scored == 12
    assert model.asked == [("score", 2)] * 6 + [("anomaly_map", 2), ("anomaly_map", 1)]


def test_a_report_that_fails_leaves_the_earlier_one(photos, tmp_path):
    out = tmp_path / "report"
    anomaly_report.write(Brightness(), photos, out)
    before = {name: (out / name).read_bytes() for name in written(out)}

    class Failing(Brightness):
        def __call__(self, name, x):
            if name == "anomaly_map":
                raise RuntimeError("out of memory")
            return super().__call__(name, x)

    with pytest.raises(RuntimeError):
        anomaly_report.write(Failing(0.1), photos, out)
    assert {name: (out / name).read_bytes() for name in written(out)} == before
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("out, changes, match", [
    ("photos", {}, "expected another folder"), (".", {}, "expected another folder"),
    ("photos/notes.txt", {}, "received the file"), ("report", {"names": ["sample"]}, "cannot score; it has sample"),
    ("report", {"given": np.nan}, "finite number"), ("report", {"given": np.inf}, "finite number"),
    ("report", {"top": 0}, "at least 1"), ("report", {"folder": "photos/none"}, "expected a folder of images")])
def test_mistakes_write_nothing(photos, tmp_path, out, changes, match):
    before = written(tmp_path)
    model = Brightness(names=changes.get("names", ["score"]))
    with pytest.raises(UserError, match=match) as error:
        anomaly_report.write(model, tmp_path / changes.get("folder", "photos"), tmp_path / out, changes.get("given"),
                             changes.get("top", 5))
    assert "\n" not in str(error.value) and written(tmp_path) == before and not (tmp_path / "report").exists()


def test_nothing_to_score(photos, tmp_path):
    for name in NAMES:
        (photos / name).write_bytes(b"no image")
    with pytest.raises(UserError, match="all 5 cannot"):
        anomaly_report.write(Brightness(), photos, tmp_path / "report")


def test_a_model_that_has_diverged(photos, tmp_path):
    class Diverged(Brightness):
        def __call__(self, name, x):
            return np.where(x.mean(axis=(1, 2, 3)) > 0.9, np.nan, 0.0)

    with pytest.raises(UserError, match="received nan for .*c.png"):
        anomaly_report.write(Diverged(), photos, tmp_path / "report")

"""Large images by tiles: what is pieced together is what was seen."""

import cases
import numpy as np
import pytest
from cases import tiny
from PIL import Image

from tfgen.detection import Tiled, report
from tfgen.errors import UserError
from tfgen.verbs.live import Live


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state."""


class Brightness:
    """Scores a tile by its mean; its map is the tile."""

    image_shape, names = (8, 6, 1), ["reconstruct", "score", "anomaly_map"]

    def __init__(self):
        self.seen = []

    def outputs(self, name, x, batch_size):
        assert x.shape[1:] == self.image_shape
        self.seen.append(len(x))
        if name == "anomaly_map":
            return {"maps": x[..., 0]}
        score = x.mean((1, 2, 3))
        return {"score": score, "is_anomaly": score > 0.5, "threshold": np.full(len(x), 0.5, np.float32)}


@pytest.mark.parametrize("shape", [(8, 6), (9, 6), (20, 31), (8, 40), (5, 31), (3, 2)])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
def test_a_map_of_what_is_seen_is_the_image(shape, overlap):
    images = np.random.default_rng(0).random((2, *shape, 1)).astype("float32")
    np.testing.assert_allclose(Tiled(Brightness(), overlap)("anomaly_map", images), images[..., 0], atol=1e-6)


def test_tiles_cover_the_image_and_overlap():
    tiled = Tiled(Brightness(), 0.5)
    for length in range(8, 60):
        starts = tiled.starts(length, 8)
        assert starts[0] == 0 and starts[-1] == length - 8 and np.all(np.diff(starts) <= 4)
    assert len(tiled.starts(16, 8)) == 3 and len(Tiled(Brightness(), 0.0).starts(16, 8)) == 2


def test_maps_of_tiles_that_differ_are_averaged_by_their_distance_from_the_border():
    class Position(Brightness):
        def outputs(self, name, x, batch_size):
            return {"maps": np.broadcast_to(np.arange(len(x), dtype="float32")[:, None, None], x.shape[:3])}

    # Two tiles of 6 columns that share three; weights 3 2 1 meet 1 2 3.
    found = Tiled(Position(), 0.5)("anomaly_map", np.zeros((1, 8, 9, 1), np.float32))
    np.testing.assert_allclose(found[0], np.tile([0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1, 1, 1], (8, 1)), atol=1e-6)


def test_a_score_is_that_of_the_most_anomalous_tile():
    image = np.full((2, 16, 12, 1), 0.2, np.float32)
    image[1, 8:, 6:] = 0.9
    found = Tiled(Brightness(), 0.0).outputs("score", image)
    np.testing.assert_allclose(found["score"], [0.2, 0.9], rtol=1e-6)
    assert found["is_anomaly"].tolist() == [False, True] and found["threshold"].tolist() == [0.5, 0.5]
    assert Tiled(Brightness(), 0.0)("score", image).tolist() == found["score"].tolist()


def test_a_report_of_images_at_their_own_sizes(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, shape in (("small", (4, 30)), ("large", (60, 90))):
        pixels = np.full(shape, 51, np.uint8)
        pixels[-4:, -3:] = 255
        Image.fromarray(pixels).save(folder / f"{name}.png")
    live = Brightness()
    found = report.write(Tiled(live, 0.5), folder, tmp_path / "report")
    rows = [row.split(",") for row in (tmp_path / "report" / "scores.csv").read_text().splitlines()[1:]]
    # Of the last tile of the large image, 12 of 48 pixels are white; of the small one's, padded below, 24.
    assert [row[0] for row in rows] == ["small.png", "large.png"] and found.anomalous == 1
    assert [float(row[1]) for row in rows] == pytest.approx([0.6, 0.4], abs=1e-5)
    pictures = [np.asarray(Image.open(tmp_path / f"report/overlays/rank-0000{rank}.png")) for rank in (1, 2)]
    assert pictures[1].shape[0] > 100 and np.ptp(pictures[1][-8:, -8:].astype(int), axis=-1).max() > 100  # red


def test_tiles_of_a_model():
    """One tile that is the image: its map and score are the model's."""
    live, images = Live(tiny("ae_anomaly")), cases.images(3)
    tiled = Tiled(live)
    np.testing.assert_allclose(tiled("anomaly_map", images), live("anomaly_map", images), rtol=1e-5)
    assert tiled("score", images).tolist() == live("score", images).tolist()


@pytest.mark.parametrize("overlap", [1.0, -0.1, float("nan")])
def test_what_is_refused(overlap):
    with pytest.raises(UserError, match="overlap of tiles"):
        Tiled(Brightness(), overlap)
    live = Brightness()
    live.names = ["reconstruct"]
    with pytest.raises(UserError, match="can score"):
        Tiled(live)

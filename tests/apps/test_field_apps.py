"""Apps of fields, by their fast paths, in this process."""

import numpy as np
import pytest
from PIL import Image

from tfgen import catalogue

pytestmark = pytest.mark.rotating


def test_fit_an_image(app, tmp_path):
    fit = app("fit_an_image")
    values = fit.main(fast=True, folder=tmp_path / "runs")
    assert values["gain over the ReLU network"] == values["psnr_db siren"] - values["psnr_db relu"]
    assert values["psnr_db siren"] > 10
    assert all(-1 <= values[f"gradient_agreement {name}"] <= 1 for name in fit.FITS)
    assert all(0 < values[f"held_out_psnr_db {name}"] < 40 for name in fit.ENCODINGS)
    for name in ("fit_an_image.png", "fit_an_image_features.png"):
        assert Image.open(tmp_path / "runs" / name).size[0] > 400
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
    fit.main(fast=True, folder=tmp_path / "runs")  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 7
    assert not list(tmp_path.glob("*.json"))


def test_fit_an_image_compares_with_differences_of_the_image(app):
    fit = app("fit_an_image")
    row, column = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
    values, slopes, bends = fit.differences(fit.data.signal(((row * row + 2 * column) / 80)[..., None]))
    # In coordinates, whose unit is 4 pixels: d/d row = 2 row * 4 / 80, d/d column = 2 * 4 / 80, Laplacian 2 * 16 / 80.
    np.testing.assert_allclose(slopes[1:-1, 1:-1, 0], (row * 0.1)[1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(slopes[..., 1], 0.1, atol=1e-5)
    np.testing.assert_allclose(bends[2:-2, 2:-2], 0.4, atol=1e-4)
    assert fit.agreement(slopes, 3 * slopes) == pytest.approx(1.0)
    assert fit.psnr(0.5 * values + 0.1, 0.5 * values) == pytest.approx(20.0)


def test_turn_a_scene(app, tmp_path):
    turn = app("turn_a_scene")
    values = turn.main(fast=True, folder=tmp_path / "runs")
    assert all(0 < values[key] < 50 for key in ("psnr_db nerf", "psnr_db background"))
    with Image.open(tmp_path / "runs" / "turn_a_scene.gif") as animation:
        assert animation.n_frames == 3 and animation.size == (48, 24)
    assert Image.open(tmp_path / "runs" / "turn_a_scene.png").size[0] > 200 and not list(tmp_path.glob("*.json"))


def test_rays_meet_the_scene_where_it_is(app):
    turn = app("turn_a_scene")
    centre, radius, _ = turn.BALLS[1]
    down = np.array([[*centre[:2], 3.0], [-0.7, 0.0, 3.0], [0.0, 1.1, 3.0], [2.0, 2.0, 3.0]])
    distance, shape, normal = turn.hits(down, np.tile([0.0, 0.0, -1.0], (4, 1)))
    # The second ball, the block, the plate, and nothing.
    np.testing.assert_allclose(distance, [3.0 - centre[2] - radius, 3.0 - turn.BLOCK[1][2], 3.0 - turn.PLATE[0], np.inf])
    assert list(shape) == [1, 3, 4, -1]
    np.testing.assert_allclose(normal[:3], [[0, 0, 1]] * 3, atol=1e-6)
    pose = turn.camera(0.3, 0.4)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], turn.DISTANCE * pose[:3, 2])
    np.testing.assert_allclose(turn.seen(np.array([[9.0, 9.0, 9.0, 0.0, 0.0, 1.0]])), [[1.0, 1.0, 1.0]])


def test_field_apps_name_hyperparameters_of_their_recipes(app):
    known = {row["name"]: set(row["hyperparameters"]) for row in catalogue.rows()}
    fit = app("fit_an_image")
    for training in (fit.FITS | fit.FEATURES).values():
        assert set(training.values) <= known[training.recipe]
    assert set(app("turn_a_scene").VALUES) <= known["nerf"]

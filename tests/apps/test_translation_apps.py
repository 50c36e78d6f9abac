"""Apps of translation, by their fast paths, in this process."""

import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.rotating


def test_super_resolution(app, tmp_path):
    rows = app("super_resolution").main(fast=True, out=tmp_path)
    assert list(rows) == ["nearest", "bicubic", "U-Net, L1 alone", "pix2pix", "PULSE"]
    for row in rows.values():
        assert 0 < row["l1"] < 1 and 0 < row["psnr_db"] < 50 and -1 <= row["ssim"] <= 1 and 0 <= row["rmse_downscaled"] < 1
    # Enlarged pixels are the given ones; nothing else is as exact.
    assert rows.pop("nearest")["rmse_downscaled"] < 1e-6 < min(row["rmse_downscaled"] for row in rows.values())
    assert Image.open(tmp_path / "pictures" / "super_resolution.png").size[0] > 300
    assert not list(tmp_path.glob("*.json"))


def test_colourise(app, tmp_path):
    pytest.importorskip("skimage")
    rows = app("colourise").main(fast=True, out=tmp_path)
    assert list(rows) == ["grey", "mean colour", "luminance table", "luminance table of the same photograph", "pix2pix"]
    for row in rows.values():
        assert 0 < row["l1"] < 1 and 0 < row["psnr_db"] < 50 and 0 < row["ssim"] <= 1 and 0 < row["delta_e"] < 100
    assert Image.open(tmp_path / "pictures" / "colourise.png").size[1] > 1500
    assert not list(tmp_path.glob("*.json"))


def test_colourise_gives_each_brightness_its_mean_chroma(app):
    colourise = app("colourise")
    images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.2, 0.2]], np.float32)[None, None]
    dark = np.array([[0.1], [0.9]], np.float32)[None, None]  # red 0.299, green 0.587, blue 0.114 and grey 0.2 bright
    found = colourise.table_of(images, dark, 2)[0, 0]
    np.testing.assert_allclose(found[1], [-0.587, 0.413, -0.587], atol=1e-6)
    np.testing.assert_allclose(found[0], (np.array([0.701, -0.299, -0.299]) + [-0.114, -0.114, 0.886]) / 3, atol=1e-6)
    # A chroma has no luminance, so that it leaves the true one.
    assert np.abs(found @ [0.299, 0.587, 0.114]).max() < 1e-6


def test_colourise_blends_what_every_patch_says(app):
    colourise = app("colourise")
    grey = np.random.default_rng(0).random((2, 96, 80, 1))
    colours = np.array([0.3, -0.1, 0.2])
    found = colourise.translated(lambda verb, x: (x + colours).astype("float32"), grey)
    np.testing.assert_allclose(found, np.broadcast_to(colours - colours @ [0.299, 0.587, 0.114], found.shape), atol=1e-5)


def test_colourise_without_scikit_image_says_what_to_install(app, monkeypatch, capsys):
    colourise = app("colourise")
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(SystemExit, match="2"):
        colourise.main(fast=True)
    assert capsys.readouterr().err == "error: expected scikit-image, received none: pip install 'tfgen[apps]'\n"


def test_edges_to_fashion(app, tmp_path):
    rows = app("edges_to_fashion").main(fast=True, out=tmp_path)
    assert {"pix2pix", "mean image", "linear regression"} <= set(rows)
    assert all(-1 <= row["ssim"] <= 1 and 0 <= row["l1"] <= 1 and row["frechet_distance"] >= 0 for row in rows.values())
    assert Image.open(tmp_path / "pictures" / "edges_to_fashion.png").size[0] > 400


def test_sandals_to_boots(app, tmp_path):
    rows = app("sandals_to_boots").main(fast=True, out=tmp_path)
    assert all(0 <= row["accepted"] <= 1 for row in rows.values())
    assert [row["cycle_l1"] == 0 for row in rows.values()] == [True, False, True, False]
    assert Image.open(tmp_path / "pictures" / "sandals_to_boots.png").size[0] > 400


@pytest.mark.slow
def test_translated_sandals_are_taken_for_boots(app, tmp_path, fashion):
    """CycleGAN on Fashion-MNIST: at least 85 % of validation sandals, cycle L1 under 0.08, after about 4 CPU minutes."""
    row = app("sandals_to_boots").main(steps=1200, split="validation", out=tmp_path)["sandal to ankle boot, CycleGAN"]
    assert row["accepted"] >= 0.85 and row["cycle_l1"] < 0.08
